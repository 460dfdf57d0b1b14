"""What was added, removed or changed has a colour on a terminal, and none for whoever wants none or reads it elsewhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_stepping import ARCHIVE, NOWHERE, ctl
from tests.support.daemon import CTL, SERVE, Daemon, manifest
from tests.support.terminal import window

ADDED, REMOVED, CHANGED = b"\x1b[32m+ ", b"\x1b[31m- ", b"\x1b[33m~ "
PLAINLY = [{"NO_COLOR": "1"}, {"TERM": "dumb"}]


def shown(capsule: Daemon, *words: str, **more: str) -> bytes:
    """What a terminal is sent."""
    seen = {name: value for name, value in capsule.environment.items() if name != "NO_COLOR"} | {"TERM": "xterm"}
    with window() as made:
        made.run([CTL, *words], seen | more)
        made.ends()
        return made.screen


@pytest.fixture(scope="module")
def commands(capsule: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[str, ...]]]:
    """Each shows something that was added, removed and changed, between them."""
    file = tmp_path_factory.mktemp("colours") / "painted.json"
    capsule.apply(manifest("painted", SERVE, env={"OLD": "1", "SAME": "2"}))
    before = capsule.data("history", "painted", "-n", "1")["seq"]
    changed = manifest("painted", SERVE, env={"NEW": "1", "SAME": "3"})
    Path(file).write_text(changed)
    yield {
        "manifests": ("diff", "-f", str(file)),
        "moments": ("diff", str(before), "now", "painted"),
        "revisions": ("workload", "history", "painted"),
    }
    capsule.good("delete", "painted", "--yes")


@pytest.mark.real
@pytest.mark.parametrize("which", ["manifests", "moments", "revisions"])
def test_signs_have_their_colours_on_a_terminal_alone(
    capsule: Daemon, commands: dict[str, tuple[str, ...]], which: str
) -> None:
    if which != "manifests":
        capsule.good("apply", "-f", commands["manifests"][2])
    coloured = shown(capsule, *commands[which])
    assert all(one in coloured for one in (ADDED, REMOVED, CHANGED)), coloured
    for wish in PLAINLY:
        plain = shown(capsule, *commands[which], **wish)
        assert b"\x1b[" not in plain and all(one[5:] in plain for one in (ADDED, REMOVED, CHANGED)), plain
    piped = capsule.ctl(*commands[which]).stdout
    assert "\x1b" not in piped and all(one[5:].decode() in piped for one in (ADDED, REMOVED, CHANGED))


@pytest.mark.parametrize("wish", [{}, *PLAINLY])
def test_so_have_those_of_an_archive(wish: dict[str, str]) -> None:
    seen = {name: value for name, value in NOWHERE.items() if name != "NO_COLOR"} | {"TERM": "xterm"}
    with window() as made:
        made.run([CTL, "replay", "--file", ARCHIVE, "--step"], seen | wish)
        first = made.sees("next [Enter]")
        made.type("q\n")
        made.ends()
    assert (ADDED in first) == (b"\x1b[" in first) == (not wish)
    assert "\x1b" not in ctl("--to", "3").stdout
