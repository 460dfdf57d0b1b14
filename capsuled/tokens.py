"""Operators' tokens: a JWT per call, signed with the operator's Ed25519 key (wire contract, *Transport and identity*).

    base64url({"alg":"EdDSA","typ":"JWT","kid":…}) . base64url({"sub","aud","iat","exp","jti"}) . base64url(signature)

Only this one form is known, so there is no algorithm to be talked into. Reading is apart from checking, because the
key that checks a token is found by the key id that the token names.
"""

import base64
import binascii
import hashlib
from functools import lru_cache

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from capsuled.utc import utc_text

SKEW_S = 300
"""How far apart the clocks of a client and this machine may be."""

LIFE_S = 3600
"""The longest life a token may give itself (clients use 60 s): what must be remembered against replay has an end."""

SECONDS_MOST = 1 << 63
"""A number may be as long as a token is: no clock tells times from here on, and nothing can be said of them."""

TOKEN_CHARS = 4_096
JTI_CHARS = 128
_SIGNATURE_BYTES = 64
_BEARER = "Bearer "


class TokenRefused(Exception):
    """Raised when a token proves nobody. `claimed` is the key id it names, cut to what a key id can be."""

    def __init__(self, reason: str, message: str, claimed: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.claimed = claimed


class _Header(msgspec.Struct, frozen=True):
    alg: str
    kid: str
    typ: str = ""
    crit: list[str] | None = None


class _Claims(msgspec.Struct, frozen=True):
    sub: str
    aud: str
    iat: int
    exp: int
    jti: str = ""


class Token(msgspec.Struct, frozen=True):
    """A token as it was read: nothing of it is proven before `check`."""

    kid: str
    claims: _Claims
    signed: bytes
    signature: bytes


_UNREADABLE = (ValueError, msgspec.MsgspecError, RecursionError)
"""What bytes that somebody made up can raise: no base64, no JSON, other types, or brackets without end."""

_headers = msgspec.json.Decoder(_Header)
_claims = msgspec.json.Decoder(_Claims)


def kid_of(public_key: bytes) -> str:
    """A key's id: base64url(SHA-256(key)), no padding."""
    return base64.urlsafe_b64encode(hashlib.sha256(public_key).digest()).rstrip(b"=").decode()


def read(authorization: str) -> Token:
    """The token of an `authorization` value. Raises TokenRefused."""
    if not authorization:
        raise TokenRefused(
            "NO_TOKEN",
            "this call carries no token: over the network every call but Adopt must prove whose it is. "
            "`capsulectl adopt ADDRESS` makes a key and enrols it",
        )
    if not authorization.startswith(_BEARER):
        raise _bad("the authorization is not of the form `Bearer TOKEN`")
    text = authorization[len(_BEARER) :]
    parts = text.split(".")
    if len(text) > TOKEN_CHARS or len(parts) != 3:
        raise _bad("the token is not three parts with dots between them")
    try:
        header = _headers.decode(_decoded(parts[0]))
    except _UNREADABLE:
        raise _bad("the token's header cannot be read") from None
    claimed = header.kid[:64] if header.kid.isprintable() else ""
    if header.alg != "EdDSA" or header.crit is not None:
        raise _bad("only tokens of the algorithm EdDSA are taken here", claimed)
    try:
        claims = _claims.decode(_decoded(parts[1]))
        signature = _decoded(parts[2])
    except _UNREADABLE:
        raise _bad("the token's claims cannot be read: sub, aud, iat, exp and jti are needed", claimed) from None
    return Token(header.kid, claims, text.rpartition(".")[0].encode(), signature)


def check(token: Token, public_key: str, capsule_id: str, now_s: float) -> None:
    """Whether the token proves the key `public_key` (hex) to this capsule at this time. Raises TokenRefused.

    Whether it was used before is not judged here; see ReplayGuard.
    """
    claims = token.claims
    try:
        _key(public_key).verify(token.signature, token.signed)
    except (InvalidSignature, ValueError):
        raise TokenRefused(
            "BAD_SIGNATURE", "the token was not signed with the key that it names: is it another key's?", token.kid
        ) from None
    if claims.sub != token.kid:
        raise _bad("the token's subject is not the key that it names", token.kid)
    if claims.aud != capsule_id:
        raise TokenRefused(
            "WRONG_AUDIENCE",
            f"the token is meant for the capsule {claims.aud[:64]!r}, and this is {capsule_id}: "
            "`capsulectl context list` shows which capsule an address was adopted as",
            token.kid,
        )
    if claims.exp <= 0 or not 0 < claims.iat < SECONDS_MOST or claims.exp < claims.iat:
        raise _bad("the token's times are no times", token.kid)
    if claims.exp - claims.iat > LIFE_S:
        raise TokenRefused("TOKEN_TOO_LONG", f"a token may live for {LIFE_S // 60} minutes at most", token.kid)
    if now_s > claims.exp + SKEW_S:
        raise TokenRefused("TOKEN_EXPIRED", _apart("has expired", claims, now_s), token.kid)
    if now_s < claims.iat - SKEW_S:
        raise TokenRefused("TOKEN_FROM_THE_FUTURE", _apart("is from the future", claims, now_s), token.kid)
    if not claims.jti or len(claims.jti) > JTI_CHARS or not claims.jti.isprintable():
        raise _bad("the token has no name of its own (jti), by which a repeat would be known", token.kid)


def _apart(what: str, claims: _Claims, now_s: float) -> str:
    return (
        f"the token {what}: it was made at {_utc(claims.iat)} by the client's clock, and it is {_utc(now_s)} here. "
        f"More than {SKEW_S // 60} minutes apart is too far: set the wrong clock right"
    )


def _utc(seconds: float) -> str:
    try:
        return utc_text(int(seconds) * 1_000_000_000)
    except (OverflowError, ValueError, OSError):
        return f"second {seconds:.0f}"


def _bad(message: str, claimed: str = "") -> TokenRefused:
    return TokenRefused("BAD_TOKEN", message, claimed)


@lru_cache(maxsize=128)
def _key(public_key: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))


_STANDARD = bytes.maketrans(b"-_", b"+/")


def _decoded(part: str) -> bytes:
    """base64url without padding, strictly. Raises ValueError."""
    raw = part.encode("ascii")
    if b"+" in raw or b"/" in raw or b"=" in raw:
        raise ValueError("not base64url")
    return binascii.a2b_base64(raw.translate(_STANDARD) + b"=" * (-len(raw) % 4), strict_mode=True)
