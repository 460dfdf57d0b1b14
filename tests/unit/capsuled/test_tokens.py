"""Tokens: what proves a key, what does not, and that each counts once in bounded memory."""

import base64
import json
from typing import Any

import pytest

from capsuled.replays import ReplayGuard
from capsuled.tokens import SKEW_S, TokenRefused, check, kid_of, read
from tests.conformance.client import Key

NOW = 1_800_000_000
CAPSULE = "a2a1f1b0-0000-4000-8000-000000000000"
KEY = Key()


def refusal(token: str, now: float = NOW, key: Key = KEY) -> TokenRefused | None:
    try:
        check(read(token), key.public.hex(), CAPSULE, now)
    except TokenRefused as error:
        return error
    return None


def reason(token: str, now: float = NOW, key: Key = KEY) -> str:
    error = refusal(token, now, key)
    assert error is not None
    return error.reason


def bearer(key: Key = KEY, audience: str = CAPSULE, **claims: Any) -> str:
    return f"Bearer {key.token(audience, NOW, **claims)}"


def test_a_good_token_proves_its_key() -> None:
    assert refusal(bearer()) is None
    assert read(bearer()).kid == KEY.kid == kid_of(KEY.public)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Basic eA==",
        "Bearer ",
        "Bearer a.b",
        "Bearer a.b.c",
        "Bearer ä.b.c",
        "Bearer " + "a" * 9_000,
        "Bearer ..",
        "Bearer e30.e30.e30",
    ],
)
def test_what_is_no_token_proves_nobody(text: str) -> None:
    assert reason(text) == ("BAD_TOKEN" if text else "NO_TOKEN")


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"sub": "another"}, "BAD_TOKEN"),
        ({"aud": "another"}, "WRONG_AUDIENCE"),
        ({"aud": [CAPSULE]}, "BAD_TOKEN"),
        ({"jti": ""}, "BAD_TOKEN"),
        ({"jti": "x" * 129}, "BAD_TOKEN"),
        ({"jti": 7}, "BAD_TOKEN"),
        ({"exp": 0}, "BAD_TOKEN"),
        ({"iat": 0}, "BAD_TOKEN"),
        ({"exp": NOW - 1}, "BAD_TOKEN"),
        ({"exp": NOW + 3_601}, "TOKEN_TOO_LONG"),
        ({"exp": 10**40}, "TOKEN_TOO_LONG"),
        ({"iat": 10**18, "exp": 10**18 + 60}, "TOKEN_FROM_THE_FUTURE"),
        ({"iat": 10**400, "exp": 10**400 + 60}, "BAD_TOKEN"),
    ],
)
def test_claims_are_held_to_the_contract(claims: dict[str, Any], expected: str) -> None:
    assert reason(bearer(**claims)) == expected


def test_another_keys_signature_and_an_altered_claim_prove_nobody() -> None:
    other = Key()
    assert reason(bearer(), key=other) == "BAD_SIGNATURE"
    head, claims, signature = bearer().split(".")
    altered = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4))) | {"exp": NOW + 1_000}
    forged = base64.urlsafe_b64encode(json.dumps(altered).encode()).rstrip(b"=").decode()
    assert reason(f"{head}.{forged}.{signature}") == "BAD_SIGNATURE"


def test_a_token_of_brackets_without_end_proves_nobody_either() -> None:
    nested = b'{"alg":"EdDSA","kid":"x","z":' + b"[" * 1_400 + b"]" * 1_400 + b"}"
    head = base64.urlsafe_b64encode(nested).rstrip(b"=").decode()
    _, claims, signature = bearer().split(".")
    assert len(head) < 4_000
    assert reason(f"Bearer {head}.{claims}.{signature}") == "BAD_TOKEN"


def test_no_other_algorithm_is_taken() -> None:
    _, claims, signature = bearer().split(".")
    for header in (
        {"alg": "none", "kid": KEY.kid},
        {"alg": "HS256", "kid": KEY.kid},
        {"alg": "EdDSA", "kid": KEY.kid, "crit": ["b64"]},
    ):
        head = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
        assert reason(f"Bearer {head}.{claims}.{signature}") == "BAD_TOKEN"


def test_clocks_may_be_five_minutes_apart_and_no_more_and_the_message_has_both_times() -> None:
    assert refusal(bearer(), NOW + 60 + SKEW_S) is None
    assert refusal(bearer(), NOW - SKEW_S) is None
    for now, expected in ((NOW + 61 + SKEW_S, "TOKEN_EXPIRED"), (NOW - SKEW_S - 1, "TOKEN_FROM_THE_FUTURE")):
        error = refusal(bearer(), now)
        assert error is not None and error.reason == expected
        assert "2027-01-15 08:00:00 UTC" in error.message and error.message.count("2027-01-15") == 2


def test_a_token_counts_once() -> None:
    guard = ReplayGuard()
    assert guard.take("k", "a", NOW + 60, NOW)
    assert not guard.take("k", "a", NOW + 60, NOW)
    assert not guard.take("k", "a", NOW + 61, NOW)
    assert guard.take("other", "a", NOW + 60, NOW)


def test_what_is_too_old_is_forgotten_and_stays_refused_when_the_clock_is_set_back() -> None:
    guard = ReplayGuard()
    for second in range(2_000):
        assert guard.take("k", f"t{second}", NOW + second + 60, NOW + second)
    assert len(guard) <= SKEW_S + 62
    assert not guard.take("k", "t0", NOW + 60, NOW)


def test_too_many_tokens_are_forgotten_without_letting_a_repeat_in() -> None:
    guard = ReplayGuard(tokens_max=100)
    for number in range(1_000):
        assert guard.take("k", f"t{number}", NOW + 60 + number // 10, NOW)
    assert len(guard) <= 100
    assert not any(guard.take("k", f"t{number}", NOW + 60 + number // 10, NOW) for number in range(1_000))


def test_keys_that_came_and_went_are_let_go() -> None:
    guard = ReplayGuard()
    for number in range(2_000):
        now = NOW + number * 100
        assert guard.take(f"k{number}", "t", now + 60, now)
    assert len(guard._keys) <= 256
    assert not guard.take("k0", "t", NOW + 60, NOW)


def test_a_later_life_takes_over_what_may_still_be_good() -> None:
    guard = ReplayGuard()
    guard.remember([("k", "old", NOW - SKEW_S - 1), ("k", "new", NOW + 1)], NOW)
    assert len(guard) == 1
    assert not guard.take("k", "new", NOW + 1, NOW)


def test_of_a_token_whose_name_is_not_known_every_one_that_may_be_it_is_refused() -> None:
    guard = ReplayGuard()
    guard.remember([("k", "", NOW + 600), ("k", "older", NOW + 60), ("gone", "", NOW - SKEW_S - 1)], NOW)
    assert not guard.take("k", "any", NOW + 600, NOW)
    assert guard.take("k", "later", NOW + 601, NOW) and guard.take("gone", "any", NOW + 60, NOW)
    for number in range(2_000):
        assert guard.take(f"k{number}", "t", NOW + number + 60, NOW + number)
    assert not guard.take("k", "any", NOW + 600, NOW + 550), "it is forgotten once it would be too old, not before"
