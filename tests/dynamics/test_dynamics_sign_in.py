"""The sign-in against the sandbox: by secret and by certificate, once at a time, renewed in time."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from connector.crm.dynamics.client.credentials import DynamicsCredentials
from connector.crm.dynamics.client.oauth import AppCertificate, AppSecret, SignInFailed, SignInUnavailable, expires
from connector.sandbox.dynamics.app import build
from connector.sandbox.serve import serving


def secret(value="sandbox", tenant="sandbox", client_id="sandbox"):
    return AppSecret(tenant=tenant, client_id=client_id, client_secret=SecretStr(value))


def certificate(days=30):
    """A certificate with its private key, both in PEM, and the certificate alone."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "connector")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .sign(key, SHA256())
        .public_bytes(Encoding.PEM)
        .decode()
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return made + private, made


async def no_sleep(_):
    pass


async def stats(org):
    return await org.control("GET", "stats")


async def test_many_callers_share_one_sign_in(org):
    credentials = DynamicsCredentials(org.base, secret())
    found = await asyncio.gather(*(credentials.authorization() for _ in range(20)))
    assert len({headers["Authorization"] for _, headers in found}) == 1
    assert credentials.logins == 1


async def test_a_token_is_renewed_before_it_expires_and_once_after_a_refusal(org):
    now = [0.0]
    credentials = DynamicsCredentials(org.base, secret(), clock=lambda: now[0])
    _, first = await credentials.authorization()
    now[0] = 3200.0
    assert (await credentials.authorization())[1] == first
    now[0] = 3300.0
    _, second = await credentials.authorization()
    assert second != first
    await asyncio.gather(*(credentials.refresh(second) for _ in range(5)))
    assert credentials.logins == 3


@pytest.mark.slow
async def test_a_certificate_signs_in_and_another_one_does_not():
    both, public = certificate()
    async with serving(build(certificate=public)) as url:
        app = AppCertificate(tenant="sandbox", client_id="sandbox", certificate=SecretStr(both))
        _, headers = await DynamicsCredentials(url, app).authorization()
        assert headers["Authorization"].startswith("Bearer ")
        other = AppCertificate(tenant="sandbox", client_id="sandbox", certificate=SecretStr(certificate()[0]))
        with pytest.raises(SignInFailed, match=r"AADSTS700027.*upload it"):
            await DynamicsCredentials(url, other).authorization()


def test_the_end_of_a_certificate_is_known():
    app = AppCertificate(tenant="t", client_id="c", certificate=SecretStr(certificate(days=10)[0]))
    assert timedelta(days=9) < datetime.fromtimestamp(expires(app), UTC) - datetime.now(UTC) < timedelta(days=10)
    assert expires(secret()) is None


@pytest.mark.parametrize(
    ("app", "cure"),
    [
        (secret("wrong"), "not its Secret ID"),
        (secret(client_id="other"), "check tenant: and client_id:"),
        (secret(tenant="other"), "Directory .tenant. ID"),
        (AppCertificate(tenant="sandbox", client_id="sandbox", certificate=SecretStr("no pem")), "in PEM form"),
    ],
)
async def test_a_refusal_says_what_to_do_and_not_the_secret(org, app, cure):
    with pytest.raises(SignInFailed, match=cure) as caught:
        await DynamicsCredentials(org.base, app).authorization()
    assert "wrong" not in str(caught.value).replace("is wrong", "")


@pytest.mark.parametrize("refusal", ["unavailable", "throttled"])
async def test_a_sign_in_service_that_fails_is_tried_again(org, refusal):
    await org.control("POST", "faults", {"fault": "login_refused", "refusal": refusal, "times": 2})
    credentials = DynamicsCredentials(org.base, secret(), sleep=no_sleep)
    await credentials.authorization()
    assert credentials.logins == 1


async def test_a_failure_is_reused_for_a_while(org):
    await org.control("POST", "faults", {"fault": "login_refused", "refusal": "secret_expired"})
    now = [0.0]
    credentials = DynamicsCredentials(org.base, secret(), clock=lambda: now[0], sleep=no_sleep)
    for _ in range(2):
        with pytest.raises(SignInFailed, match="has expired"):
            await credentials.authorization()
    now[0] = 2.0
    await credentials.authorization()


async def test_a_sign_in_without_an_answer_is_not_reported_as_wrong_credentials():
    credentials = DynamicsCredentials("http://127.0.0.1:9", secret(), sleep=no_sleep)
    with pytest.raises(SignInUnavailable, match="does not answer"):
        await credentials.authorization()
