"""The operator's key on this side: made once, kept private, and a short-lived token signed with it for every call.

The file is PKCS#8 PEM, as every client of Capsule writes it. Its one usual form is read by hand: the library's loader
takes longer to import than the call takes to make.
"""

import base64
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from capsulectl.errors import Failure
from capsulectl.files import first_file
from capsulectl.render import say

LIFE_S = 60
_FILE_BYTES = 64 << 10
_LOST = (
    "Put it back from a copy; if there is none, move it away: `capsulectl key show` makes another, which an admin "
    "of the capsule lets in by `capsulectl key add`"
)
_PREFIX = bytes.fromhex("302e020100300506032b657004220420")
"""PKCS#8 of an Ed25519 key without attributes; the 32 bytes of the key follow."""


class OperatorKey:
    """An Ed25519 key. `public` is raw, `kid` its id."""

    def __init__(self, seed: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._private.public_key().public_bytes_raw()
        self.kid = kid_of(self.public)
        self._header = _base64url(f'{{"alg":"EdDSA","typ":"JWT","kid":"{self.kid}"}}'.encode())

    def token(self, capsule_id: str) -> str:
        """A token for one call to this capsule."""
        now, jti = int(time.time()), _base64url(os.urandom(16))
        # Put together by hand: for every call, and a json encoder takes half as long as the signature.
        times = f'"iat":{now},"exp":{now + LIFE_S}'
        claims = f'{{"sub":"{self.kid}","aud":{json.dumps(capsule_id)},{times},"jti":"{jti}"}}'
        signed = f"{self._header}.{_base64url(claims.encode())}"
        return f"{signed}.{_base64url(self._private.sign(signed.encode()))}"


def kid_of(public: bytes) -> str:
    """A key's id: base64url(SHA-256(key)), no padding."""
    return _base64url(hashlib.sha256(public).digest())


def load(path: Path) -> OperatorKey:
    """The key in a file. Raises Failure."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_FILE_BYTES).decode("ascii", "replace")
    except OSError as error:
        raise Failure(f"the operator's key {path} cannot be read: {error.strerror}. {_LOST}") from error
    if mode & 0o077:
        say(f"capsulectl: WARNING: others may read the operator's key: `chmod 600 {path}`")
    return OperatorKey(_seed(text, path))


def load_or_make(path: Path) -> OperatorKey:
    """The key in a file, made there if it is new, mode 0600. Raises Failure."""
    if not path.exists():
        der = _PREFIX + os.urandom(32)
        pem = f"-----BEGIN PRIVATE KEY-----\n{base64.b64encode(der).decode()}\n-----END PRIVATE KEY-----\n"
        first_file(path, pem.encode())  # not over one of another command, which may be let in by now
    return load(path)


def _seed(text: str, path: Path) -> bytes:
    lines = text.strip().splitlines()
    try:
        der = base64.b64decode("".join(lines[1:-1]), validate=True)
    except ValueError:
        der = b""
    if lines[:1] == ["-----BEGIN PRIVATE KEY-----"] and der.startswith(_PREFIX) and len(der) == len(_PREFIX) + 32:
        return der[len(_PREFIX) :]
    return _seed_of_any_form(text, path)


def _seed_of_any_form(text: str, path: Path) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key: Any = load_pem_private_key(text.encode(), None)
    except TypeError as error:
        raise Failure(f"the key {path} is under a passphrase, and nobody is asked for one: keep it without") from error
    except ValueError as error:
        raise Failure(f"{path} is no private key in PEM (PKCS#8), or is damaged. {_LOST}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Failure(f"{path} is no Ed25519 key, and a capsule takes no other")
    return key.private_bytes_raw()


def public_key(text: str) -> bytes:
    """A public key as people hand it over: base64url or hex of its bytes, an OpenSSH line, PEM. Raises Failure."""
    text = text.strip()
    if text.startswith("ssh-ed25519 "):
        blob = _unpadded(text.split()[1])
        if len(blob) == 51 and blob[:19] == b"\0\0\0\x0bssh-ed25519\0\0\0 ":
            return blob[19:]
    elif text.startswith("-----BEGIN PUBLIC KEY-----"):
        der = _unpadded("".join(text.splitlines()[1:-1]))
        if len(der) == 44 and der.startswith(bytes.fromhex("302a300506032b6570032100")):
            return der[12:]
    elif len(text) == 64 and all(char in "0123456789abcdefABCDEF" for char in text):
        return bytes.fromhex(text)
    elif len(raw := _unpadded(text)) == 32:
        return raw
    raise Failure(
        "this is no Ed25519 public key: give what `capsulectl key show` prints, an `ssh-ed25519 …` line, or a file "
        "with either"
    )


def _unpadded(text: str) -> bytes:
    try:
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), altchars=None, validate=True)
    except ValueError:
        pass
    try:
        return base64.urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))
    except ValueError:
        return b""


def text_of(public: bytes) -> str:
    """A public key as `key show` prints it and `key add` takes it."""
    return _base64url(public)


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
