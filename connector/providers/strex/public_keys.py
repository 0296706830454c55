"""Strex's public keys: requested by name, kept until they expire. signature.py verifies with them.

Source: sdk-for-net, Target365Client and Model/PublicKey.
"""

import base64
import binascii
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from connector.model.errors import HttpRejected
from connector.model.http import Http, HttpCall, HttpError

PATHS = (
    "/api/server/public-keys/{name}",
    "/api/public-key/{name}",
)  # the second is the older one, still in the Java SDK
ALGORITHM = "ECDsaP256"
TIMEOUT = timedelta(seconds=5)  # a callback waits for it
KEEP = timedelta(days=1)  # for a key without an expiry, so that a withdrawn key does not stay valid
UNKNOWN = timedelta(seconds=60)  # a name that Strex does not know is not requested again sooner
FAILED = timedelta(seconds=5)  # a name for which no answer came is not requested again sooner
MAX_KEYS = 16  # Strex names its keys by date and has a few in use
MAX_UNKNOWN = 64  # unknown names a minute that a caller can make us request


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    public: EllipticCurvePublicKey
    usable_from: datetime | None
    expiry: datetime | None
    until: datetime  # when to request it again


@dataclass(slots=True)
class PublicKeys:
    """The keys that have been requested, and for a short time the names without a key."""

    _known: OrderedDict[str, _Key] = field(default_factory=OrderedDict)
    _refused: dict[str, tuple[datetime, HttpRejected]] = field(default_factory=dict)

    async def find(self, http: Http, name: str, now: datetime) -> EllipticCurvePublicKey:
        """The key of that name; raises HttpRejected, with 503 if Strex gave no answer and 401 if it has no such key.

        The name goes into a URL: the caller has checked its characters.
        """
        key = self._known.get(name)
        if key is None or key.until <= now:
            self._refuse_again(name, now)
            key = await self._ask(http, name, now)
        if (key.usable_from and now < key.usable_from) or (key.expiry and key.expiry <= now):
            raise HttpRejected(401, "signing key not in use")
        return key.public

    def _refuse_again(self, name: str, now: datetime) -> None:
        self._refused = {name: entry for name, entry in self._refused.items() if entry[0] > now}
        if name in self._refused:
            refused = self._refused[name][1]
            raise HttpRejected(refused.status, refused.why)
        if len(self._refused) >= MAX_UNKNOWN:
            raise HttpRejected(503, "too many unknown signing keys")

    async def _ask(self, http: Http, name: str, now: datetime) -> _Key:
        for path in PATHS:
            call = HttpCall(method="GET", path=path.format(name=name), timeout=TIMEOUT, repeatable=True)
            try:
                reply = await http.call(call)
            except HttpError:
                raise self._no_answer(name, now) from None
            if reply.status == HTTPStatus.OK:
                key = _read(reply.body, now)
                if key is None:
                    raise self._remember(name, now + UNKNOWN, HttpRejected(401, "unusable signing key"))
                self._known[name] = key
                while len(self._known) > MAX_KEYS:
                    self._known.popitem(last=False)
                return key
            if reply.status != HTTPStatus.NOT_FOUND:
                raise self._no_answer(name, now)
        raise self._remember(name, now + UNKNOWN, HttpRejected(401, "unknown signing key"))

    def _no_answer(self, name: str, now: datetime) -> HttpRejected:
        """The rejection if Strex gave no usable reply: the caller may try again."""
        return self._remember(name, now + FAILED, HttpRejected(503, "no answer about a signing key"))

    def _remember(self, name: str, until: datetime, refused: HttpRejected) -> HttpRejected:
        self._refused[name] = (until, refused)
        return refused


def _read(body: bytes, now: datetime) -> _Key | None:
    """Parse a key; None if it must not be used."""
    try:
        value = orjson.loads(body)
        if value["signAlgo"] != ALGORITHM:
            return None
        public = load_der_public_key(base64.b64decode(value["publicKeyString"], validate=True))
        usable_from, expiry = _time(value.get("notUsableBefore")), _time(value.get("expiry"))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, binascii.Error, UnsupportedAlgorithm):
        return None
    if not isinstance(public, EllipticCurvePublicKey) or not isinstance(public.curve, SECP256R1):
        return None
    return _Key(public=public, usable_from=usable_from, expiry=expiry, until=max(expiry or now + KEEP, now + UNKNOWN))


def _time(value: object) -> datetime | None:
    if not value:
        return None
    time = datetime.fromisoformat(str(value))
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
