"""Who says that a bundle is an update: an Ed25519 signature over its manifest, which holds the hashes of all the rest.

The member manifest.sig is one line: the key's id and the signature, both base64url without padding. What is signed is
the manifest's bytes behind a line of our own, so that the key's signature under anything else is worth nothing here.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from effects.slots.manifest import BadBundle

SIGNATURE_BYTES = 256
_CONTEXT = b"capsule update manifest 1\n"


def kid_of(public: bytes) -> str:
    """A key's id: base64url of the SHA-256 of the raw public key, as operators' keys have theirs."""
    return _text(hashlib.sha256(public).digest())


def sign(manifest: bytes, key: Ed25519PrivateKey) -> bytes:
    """The content of manifest.sig."""
    public = key.public_key().public_bytes_raw()
    return f"{kid_of(public)} {_text(key.sign(_CONTEXT + manifest))}\n".encode()


def verify(manifest: bytes, signature: bytes | None, keys: Mapping[str, str], expires: int, now_s: float) -> str:
    """The id of the enrolled key that signed; empty where none is enrolled, for then nobody is asked. `keys`: raw
    public keys in hex, by their ids. Raises BadBundle."""
    if not keys:
        return ""
    if signature is None:
        raise BadBundle(
            "NOT_SIGNED",
            "the bundle is not signed, and this capsule takes only updates that an enrolled key signed: "
            "`capsulectl update key list` shows which. Build it with `make image UPDATE_KEY=FILE`",
        )
    try:
        kid, value = signature.decode("ascii").rstrip("\n").split(" ")
        raw = base64.b64decode(value + "=" * (-len(value) % 4), b"-_", validate=True)
    except (ValueError, binascii.Error) as error:
        raise BadBundle("BAD_SIGNATURE", "manifest.sig is no signature: the bundle was damaged or altered") from error
    public = keys.get(kid)
    if public is None:
        raise BadBundle(
            "UNKNOWN_KEY",
            f"the bundle is signed by key {kid[:12]}…, which is not enrolled: `capsulectl update key list` shows those "
            "that are",
        )
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(raw, _CONTEXT + manifest)
    except InvalidSignature as error:
        raise BadBundle(
            "BAD_SIGNATURE", "the manifest is not the one that was signed: the bundle was damaged or altered"
        ) from error
    if expires and now_s > expires:
        raise BadBundle("EXPIRED", "the signature is not good any more: build and sign the bundle anew")
    return kid


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
