"""Secrets as an operator sees them."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.daemon import CTL, Daemon, manifest
from tests.support.terminal import window

pytestmark = pytest.mark.real


def raw(capsule: Daemon, *arguments: str, value: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    """Bytes in, bytes out."""
    return subprocess.run(
        [CTL, *arguments], env=capsule.environment, input=value, capture_output=True, timeout=60, check=False
    )


def test_a_secret_from_standard_input_lives_its_life(capsule: Daemon) -> None:
    assert capsule.good("secret", "create", "life", stdin="one") == "secret/life created (version 1, 3 B)\n"
    assert capsule.good("secret", "reveal", "life") == "one"
    assert capsule.good("secret", "rotate", "life", stdin="other") == "secret/life rotated (version 2, 5 B)\n"
    assert capsule.good("secret", "rotate", "life", stdin="other") == "secret/life unchanged (version 2, 5 B)\n"
    (shown,) = [one for one in capsule.data("secret", "list") if one["name"] == "life"]
    assert (int(shown["version"]), int(shown["sizeBytes"])) == (2, 5) and "value" not in shown
    assert "life\n" in capsule.good("secret", "ls", "-o", "name")
    table = capsule.good("secret", "list").splitlines()
    assert table[0].split() == ["NAME", "VERSION", "SIZE", "AGE", "ROTATED", "USED", "BY"]
    removed = capsule.ctl("secret", "rm", "life", "--yes")
    assert (removed.returncode, removed.stdout, removed.stderr) == (0, "", "secret/life removed\n")
    gone = capsule.ctl("secret", "reveal", "life")
    assert gone.returncode == 1 and "there is no secret life" in gone.stderr
    types = [event["type"] for event in capsule.history("life") if event["type"].startswith("secret.")]
    assert types == ["secret.created", "secret.revealed", "secret.rotated", "secret.removed"]


def test_an_environment_is_shown_to_who_asks_for_it(capsule: Daemon) -> None:
    capsule.apply(manifest("told", "sleep 600", env={"MODE": "live", "USER": "root"}))
    assert "live" not in capsule.good("get", "told") and "live" not in capsule.good("get", "told", "-o", "yaml")
    page = capsule.good("get", "told", "--reveal")
    assert "MODE: live" in page and "sealed:" not in page
    shown = capsule.good("get", "told", "--reveal", "-o", "yaml")
    assert capsule.apply(shown) == "workload/told unchanged\n"
    both = capsule.ctl("get", "told", "nobody", "--reveal", "-o", "json")
    assert both.returncode == 1 and "there is no workload nobody" in both.stderr
    (one,) = json.loads(both.stdout)["workloads"]
    assert one["container"]["env"] == {"MODE": "live", "USER": "root"}
    for other in (["--watch"], ["--at", "1"]):
        past = capsule.ctl("get", "told", "--reveal", *other)
        assert past.returncode == 2 and f"--reveal tells of now, once: leave out {other[0]}" in past.stderr
    lines = capsule.good("history", "told", "--type", "workload.env_revealed").splitlines()
    assert len(lines) == 3 and all("told's environment was shown: MODE, USER" in line for line in lines)
    capsule.good("delete", "told", "--yes")


def test_a_file_is_taken_byte_for_byte(capsule: Daemon, tmp_path: Path) -> None:
    value = bytes(range(256)) * 2_048
    (tmp_path / "key").write_bytes(value)
    capsule.good("secret", "create", "bytes", "--from-file", str(tmp_path / "key"))
    assert raw(capsule, "secret", "reveal", "bytes").stdout == value
    assert raw(capsule, "secret", "rotate", "bytes", "-f", "-", value=b"\x00\xff").returncode == 0
    assert raw(capsule, "secret", "reveal", "bytes").stdout == b"\x00\xff"
    (tmp_path / "key").write_bytes(value + b"x")
    large = capsule.ctl("secret", "rotate", "bytes", "-f", str(tmp_path / "key"))
    assert large.returncode == 2 and "more than 512 KiB" in large.stderr
    assert capsule.ctl("secret", "rotate", "bytes", "-f", str(tmp_path / "none")).returncode == 2
    capsule.good("secret", "rm", "bytes", "--yes")


def test_a_line_break_at_the_end_is_kept_and_told_of(capsule: Daemon) -> None:
    made = capsule.ctl("secret", "create", "line", stdin="one\n")
    assert made.returncode == 0 and "ends with a line break, which is kept" in made.stderr
    assert capsule.good("secret", "reveal", "line") == "one\n"
    assert capsule.ctl("secret", "rotate", "line", stdin="two").stderr == ""
    assert capsule.ctl("secret", "rotate", "line", "-q", stdin="three\n").stderr == ""
    capsule.good("secret", "rm", "line", "--yes")


def test_a_value_is_never_an_argument_and_none_is_no_value(capsule: Daemon) -> None:
    typed = capsule.ctl("secret", "create", "typed", "hunter2")
    assert typed.returncode == 2
    empty = capsule.ctl("secret", "create", "typed", stdin="")
    assert empty.returncode == 2 and "the value is empty" in empty.stderr
    assert "typed" not in capsule.good("secret", "list", "-o", "name").splitlines()


def test_one_that_is_not_there_is_told_of_before_a_value_is_asked_for(capsule: Daemon) -> None:
    refused = capsule.ctl("secret", "rotate", "nobodys", stdin="x")
    assert refused.returncode == 1 and "`capsulectl secret create nobodys` makes one" in refused.stderr
    unsure = capsule.ctl("secret", "rm", "nobodys")
    assert unsure.returncode == 2 and "--yes" in unsure.stderr


def test_on_a_terminal_it_is_asked_for_twice_and_never_seen(capsule: Daemon) -> None:
    with window() as typing:
        typing.run([CTL, "secret", "create", "asked"], capsule.environment)
        typing.sees("Value of asked: ")
        typing.type("hunter2\n")
        typing.sees("Once more: ")
        typing.type("hunter2\n")
        shown = typing.sees("secret/asked created (version 1, 7 B)")
        assert typing.ends() == 0 and b"hunter2" not in shown + typing.screen
    with window() as typing:
        typing.run([CTL, "secret", "rotate", "asked"], capsule.environment)
        typing.sees("Value of asked: ")
        typing.type("hunter3\n")
        typing.sees("Once more: ")
        typing.type("hunter4\n")
        typing.sees("the two differ: nothing was changed")
        assert typing.ends() == 1
    for typed, why in ((b"\x04", "nothing was typed"), (b"a\xff\n", "what was typed is no UTF-8")):
        with window() as typing:
            typing.run([CTL, "secret", "rotate", "asked"], capsule.environment)
            typing.sees("Value of asked: ")
            typing.type(typed)
            typing.sees(f"{why}: nothing was changed")
            assert typing.ends() == 1
    with window() as typing:
        typing.run([CTL, "secret", "reveal", "asked"], capsule.environment)
        typing.sees("hunter2\r\n")
        assert typing.ends() == 0
    capsule.good("secret", "rm", "asked", "--yes")
