"""Whom the page's server answers."""

import pytest

from capsulectl.ui.door import Door, Refusal

DOOR = Door(4711, "word")
HERE = {"host": "127.0.0.1:4711"}


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/word/", HERE),
        ("/word/", {"host": "localhost:4711", "sec-fetch-site": "none", "sec-fetch-mode": "navigate"}),
        ("/word/", {**HERE, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}),  # a link that was pressed
        ("/word/read/entry", {**HERE, "origin": "http://127.0.0.1:4711", "sec-fetch-site": "same-origin"}),
        ("/word/page.css", {**HERE, "content-length": "0"}),
    ],
)
def test_the_page_itself_and_who_opens_it_are_answered(path: str, headers: dict[str, str]) -> None:
    assert DOOR.judge(path, headers) == path.removeprefix("/word/")


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/word/", {}, 421),
        ("/word/", {"host": "127.0.0.1"}, 421),
        ("/word/", {"host": "127.0.0.1:4712"}, 421),
        ("/word/", {"host": "attacker.example:4711"}, 421),  # a name of somebody else's that leads to loopback
        ("/word/", {"host": "127.0.0.1:4711.attacker.example"}, 421),
        ("/word/read/entry", {**HERE, "origin": "http://attacker.example"}, 403),
        ("/word/read/entry", {**HERE, "origin": "null"}, 403),
        ("/word/read/entry", {**HERE, "origin": "https://127.0.0.1:4711"}, 403),
        ("/word/read/entry", {**HERE, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 403),
        ("/word/read/entry", {**HERE, "sec-fetch-site": "same-site"}, 403),  # another port of this very machine
        ("/word/", {**HERE, "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
        ("/word/", {**HERE, "content-length": "5"}, 400),
        ("/word/", {**HERE, "transfer-encoding": "chunked"}, 400),
        ("/", HERE, 404),
        ("/word", HERE, 404),
        ("/wor/", HERE, 404),
        ("/words/", HERE, 404),
        ("//word/", HERE, 404),
        ("/w\udcffrd/", HERE, 404),
    ],
)
def test_nobody_else_is(path: str, headers: dict[str, str], status: int) -> None:
    refused = DOOR.judge(path, headers)
    assert isinstance(refused, Refusal) and refused.status == status
