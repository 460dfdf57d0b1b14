"""Keys that are none, because anybody can sign for them: proven with signatures that took no private key."""

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from projections.ed25519 import is_public_key

PRIME = 2**255 - 19
D = -121_665 * pow(121_666, -1, PRIME) % PRIME
SIGN = 1 << 255
Point = tuple[int, int]
"""x and y. Source: RFC 8032, section 5.1.4."""


def plus(one: Point, other: Point) -> Point:
    (x1, y1), (x2, y2) = one, other
    both = D * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + both, -1, PRIME)
    y = (y1 * y2 + x1 * x2) * pow(1 - both, -1, PRIME)
    return x % PRIME, y % PRIME


def points(y: int) -> list[Point]:
    """Those with this y; none where it is on no point."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, PRIME) % PRIME
    root = pow(square, (PRIME + 3) // 8, PRIME)
    roots = (root, root * pow(2, (PRIME - 1) // 4, PRIME) % PRIME)
    return [(x * sign % PRIME, y) for x in roots if x * x % PRIME == square for sign in (1, -1)]


def is_small(y: int) -> bool:
    """Whether a point of this y, taken eight times, is nothing."""
    for point in points(y % PRIME):
        for _ in range(3):
            point = plus(point, point)
        return point == (0, 1)
    return False


def torsion() -> list[int]:
    """The y of every point of small order, found by taking points of any kind by the order of the large group."""
    order = 2**252 + 27_742_317_777_372_353_535_851_937_790_883_648_493
    found = set()
    for y in range(2, 60):
        for point in points(y)[:1]:
            rest: Point = (0, 1)
            for bit in bin(order)[2:]:
                rest = plus(rest, rest)
                if bit == "1":
                    rest = plus(rest, point)
            found |= {rest[1]}
    return sorted(found)


def encodings() -> list[bytes]:
    """Every 32 bytes that mean one of these points: reduced or not, with either sign."""
    numbers = [y + more for y in torsion() for more in (0, PRIME) if y + more < SIGN]
    return [(number | sign).to_bytes(32, "little") for number in numbers for sign in (0, SIGN)]


def test_every_encoding_of_a_point_of_small_order_is_no_key() -> None:
    assert len(torsion()) == 5 and all(map(is_small, torsion()))
    assert len(encodings()) == 14
    assert not any(is_public_key(one.hex()) for one in encodings())


def test_for_the_key_of_zeros_a_signature_is_found_without_any_private_key() -> None:
    forged = (1).to_bytes(32, "little") + bytes(32)
    taken = 0
    for number in range(64):
        try:
            Ed25519PublicKey.from_public_bytes(bytes(32)).verify(forged, b"any text %d" % number)
            taken += 1
        except InvalidSignature:
            continue
    assert taken, "what this is about"
    assert not is_public_key(bytes(32).hex())


def test_a_key_that_somebody_made_is_one() -> None:
    for number in range(50):
        public = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32).public_key().public_bytes_raw()
        assert is_public_key(public.hex())


@pytest.mark.parametrize("text", ["", "ab", "ab" * 31, "ab" * 33, "x" * 64])
def test_what_is_no_32_bytes_is_none(text: str) -> None:
    assert not is_public_key(text)
