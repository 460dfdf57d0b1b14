"""Ed25519 public keys, as far as enrolling one asks: its length, and that not just anybody can sign for it. Pure.

A point of small order verifies signatures that nobody needs a private key to make: the key of all zeros is one. Their
encodings are told by the y coordinate alone, also those that are not reduced or have the other sign. Source: RFC 8032,
section 5.1; the eight points of E[8].
"""

_PRIME = 2**255 - 19
_OF_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL = frozenset({0, 1, _PRIME - 1, _OF_ORDER_8, _PRIME - _OF_ORDER_8})
"""The y of every point whose order divides 8."""
_HEX = 64


def is_public_key(key: str) -> bool:
    """Whether 64 hex digits are a key that somebody alone can sign with."""
    if len(key) != _HEX:
        return False
    try:
        number = int.from_bytes(bytes.fromhex(key), "little")
    except ValueError:
        return False
    return number % 2**255 % _PRIME not in _SMALL
