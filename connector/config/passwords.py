"""Passwords of the console's users: only their hashes are in the config. scrypt, of the standard library."""

import base64
import binascii
import hashlib
import hmac
import secrets

# About 0.1 s and 32 MiB for each attempt (RFC 7914).
COST, BLOCK, PARALLEL = 2**15, 8, 1
MAX_MEMORY = 64 * 1024 * 1024  # bytes; OpenSSL refuses 32 MiB by default
SALT_BYTES, KEY_BYTES = 16, 32
SHORTEST = 12  # characters of a new password


def password_hash(password: str, salt: bytes | None = None) -> str:
    """The line for `password_hash:` in the config. It takes a tenth of a second: call it in a thread."""
    salt = secrets.token_bytes(SALT_BYTES) if salt is None else salt
    return f"scrypt:{COST}:{BLOCK}:{PARALLEL}:{_base64(salt)}:{_base64(_key(password, salt))}"


# Compared with when there is no such user, so that the time of an answer does not tell who exists.
NOBODY = f"scrypt:{COST}:{BLOCK}:{PARALLEL}:{'A' * 22}==:{'A' * 43}="


def is_password_hash(text: str) -> bool:
    """Whether the text is a hash that password_hash() made."""
    try:
        _parts(text)
    except ValueError:
        return False
    return True


def is_password(password: str, stored: str) -> bool:
    """Whether the hash is that of the password. It takes a tenth of a second: call it in a thread."""
    salt, key = _parts(stored)
    return hmac.compare_digest(_key(password, salt), key)


def _parts(stored: str) -> tuple[bytes, bytes]:
    """Salt and key; raises ValueError."""
    kind, cost, block, parallel, salt, key = stored.split(":")
    if (kind, cost, block, parallel) != ("scrypt", str(COST), str(BLOCK), str(PARALLEL)):
        raise ValueError("made in another way")
    try:
        parts = base64.b64decode(salt, validate=True), base64.b64decode(key, validate=True)
    except binascii.Error as error:
        raise ValueError("not in base64") from error
    if (len(parts[0]), len(parts[1])) != (SALT_BYTES, KEY_BYTES):
        raise ValueError("cut off")
    return parts


def _key(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=COST, r=BLOCK, p=PARALLEL, maxmem=MAX_MEMORY, dklen=KEY_BYTES)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
