"""Challenges and tokens: what is asked for, what is sent, and what is never sent."""

import asyncio
import json

import pytest

from effects.errors import RegistryDenied, RegistryUnreachable, RegistryUntrusted
from effects.images.registry import Access
from effects.images.registry_auth import Authenticator, Challenge, basic, parse_challenges

REALM = "https://auth.test/token"
SCOPE = "repository:a/b:pull"
BEARER = (Challenge("bearer", {"realm": REALM, "service": "tests", "scope": SCOPE}),)
WITH_USER = Access("registry.test", "me", "secret")


class Tokens:
    """A token server that counts."""

    def __init__(self, expires_in: float = 300) -> None:
        self.asked: list[tuple[str, dict[str, str], str]] = []
        self.expires_in = expires_in

    async def ask(self, url: str, query: dict[str, str], authorization: str) -> bytes:
        self.asked.append((url, query, authorization))
        return json.dumps({"token": f"token-{len(self.asked)}", "expires_in": self.expires_in}).encode()


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (['Basic realm="x"'], [("basic", {"realm": "x"})]),
        (
            ['Bearer realm="https://a/t",service="s, \\"q\\"",scope="repository:a/b:pull,push"'],
            [("bearer", {"realm": "https://a/t", "service": 's, "q"', "scope": "repository:a/b:pull,push"})],
        ),
        (
            ["Negotiate, Basic realm=abc, Bearer realm=y"],
            [("negotiate", {}), ("basic", {"realm": "abc"}), ("bearer", {"realm": "y"})],
        ),
        (
            ['Bearer realm="https://a/t",error-uri="https://a/e;f",service=s'],
            [("bearer", {"realm": "https://a/t", "error-uri": "https://a/e;f", "service": "s"})],
        ),
        (
            ['Bearer realm="https://a/t"; service=s; scope="x:y", Basic realm=z'],
            [("bearer", {"realm": "https://a/t", "service": "s", "scope": "x:y"}), ("basic", {"realm": "z"})],
        ),
        (["", "???"], []),
    ],
)
def test_challenges_are_read_in_every_form(headers: list[str], found: list[tuple[str, dict[str, str]]]) -> None:
    assert [(one.scheme, one.parameters) for one in parse_challenges(headers)] == found


def test_a_token_is_kept_until_it_is_refused_or_runs_out() -> None:
    async def main() -> None:
        tokens = Tokens()
        one = Authenticator(WITH_USER, tokens.ask)
        assert one.header(SCOPE) == ""
        assert await one.answer(BEARER, SCOPE, "") == "Bearer token-1" == one.header(SCOPE)
        assert tokens.asked[0] == (
            REALM,
            {"service": "tests", "scope": SCOPE, "client_id": "capsule"},
            basic(WITH_USER),
        )
        # Another request that was refused with an older header is answered with the one that is here by now.
        assert await one.answer(BEARER, SCOPE, "Bearer older") == "Bearer token-1"
        assert await one.answer(BEARER, SCOPE, "Bearer token-1") == "Bearer token-2"
        assert len(tokens.asked) == 2
        short = Authenticator(WITH_USER, Tokens(expires_in=0).ask)
        assert await short.answer(BEARER, SCOPE, "") == "Bearer token-1"
        assert await short.answer(BEARER, "another", "") == "Bearer token-2"

    asyncio.run(main())


def test_nobody_asks_for_a_token_without_a_name() -> None:
    async def main() -> None:
        tokens = Tokens()
        assert await Authenticator(Access("registry.test"), tokens.ask).answer(BEARER, SCOPE, "") == "Bearer token-1"
        assert tokens.asked[0][2] == ""

    asyncio.run(main())


def test_basic_needs_a_user_and_is_tried_once() -> None:
    async def main() -> None:
        challenge = (Challenge("basic", {"realm": "x"}),)
        one = Authenticator(WITH_USER, Tokens().ask)
        sent = await one.answer(challenge, SCOPE, "")
        assert sent == "Basic bWU6c2VjcmV0"
        with pytest.raises(RegistryDenied, match="another user or password"):
            await one.answer(challenge, SCOPE, sent)
        with pytest.raises(RegistryDenied, match="without credentials"):
            await Authenticator(Access("registry.test"), Tokens().ask).answer(challenge, SCOPE, "")

    asyncio.run(main())


def test_credentials_are_not_sent_to_a_token_server_without_tls() -> None:
    async def main() -> None:
        tokens = Tokens()
        plain = (Challenge("bearer", {"realm": "http://auth.test/token"}),)
        with pytest.raises(RegistryUntrusted, match="not encrypted"):
            await Authenticator(WITH_USER, tokens.ask).answer(plain, SCOPE, "")
        assert tokens.asked == []
        loopback = (Challenge("bearer", {"realm": "http://127.0.0.1:5000/token"}),)
        assert await Authenticator(WITH_USER, tokens.ask).answer(loopback, SCOPE, "") == "Bearer token-1"
        open_one = Access("registry.test", "me", "secret", plain_http=True)
        assert await Authenticator(open_one, tokens.ask).answer(plain, SCOPE, "") == "Bearer token-2"

    asyncio.run(main())


@pytest.mark.parametrize(
    "realm",
    [
        "http://localhost.evil.example/token",
        "http://127.0.0.1.evil.example/token",
        "http://127.evil.example:5000/token",
        "http://localhost:80@evil.example/token",
        "http://[::1/token",
        "ftp://localhost/token",
    ],
)
def test_a_name_that_begins_like_this_machines_is_another_machine(realm: str) -> None:
    async def main() -> None:
        tokens = Tokens()
        with pytest.raises(RegistryUntrusted, match="not encrypted"):
            await Authenticator(WITH_USER, tokens.ask).answer((Challenge("bearer", {"realm": realm}),), SCOPE, "")
        assert tokens.asked == []

    asyncio.run(main())


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:5000", "127.0.0.1", "127.9.9.9:5000", "[::1]", "[::1]:5000"])
def test_a_token_server_on_this_machine_needs_no_tls(host: str) -> None:
    async def main() -> None:
        challenge = (Challenge("bearer", {"realm": f"http://{host}/token"}),)
        assert await Authenticator(WITH_USER, Tokens().ask).answer(challenge, SCOPE, "") == "Bearer token-1"

    asyncio.run(main())


def test_a_token_server_that_gives_none_is_tried_again_later() -> None:
    async def ask(url: str, query: dict[str, str], authorization: str) -> bytes:
        return b"<html>"

    async def main() -> None:
        with pytest.raises(RegistryUnreachable, match="gives no token"):
            await Authenticator(WITH_USER, ask).answer(BEARER, SCOPE, "")

    asyncio.run(main())


def test_a_password_is_in_nothing_that_is_printed() -> None:
    assert "secret" not in repr(WITH_USER) and "secret" not in str(Authenticator(WITH_USER, Tokens().ask).__dict__)
