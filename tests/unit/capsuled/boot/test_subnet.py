"""What an operator may write down as the subnet of the workloads' bridge, and what becomes of what cannot be one."""

from pathlib import Path

import pytest

from capsuled.__main__ import _as_written
from capsuled.boot.subnet import written
from capsuled.layout import hosted
from capsuled.settings import DEFAULT_SUBNET, Settings


@pytest.mark.parametrize("text", ["10.254.254.0/24", "10.254.254.0/24\n", "  10.8.0.0/16 \n"])
def test_what_stands_there_is_the_bridges_subnet(tmp_path: Path, text: str) -> None:
    (tmp_path / "subnet").write_text(text)
    settings, notes = written(Settings(), tmp_path / "subnet")
    assert (settings.subnet, settings.subnet_file, notes) == (text.strip(), str(tmp_path / "subnet"), ())
    assert settings.problem() == ""


def test_without_a_file_it_is_the_machines_own_and_the_place_is_known(tmp_path: Path) -> None:
    settings, notes = written(Settings(), tmp_path / "subnet")
    assert (settings.subnet, settings.subnet_file, notes) == (DEFAULT_SUBNET, str(tmp_path / "subnet"), ())


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "10.0.0.1/24", "8.8.8.0/24", "10.254.254.0/25", "10.0.0.0/8 10.1.0.0/16", "fd00::/64", "\xff"],
)
def test_what_cannot_be_one_is_not_used_and_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "subnet").write_bytes(text.encode("latin-1"))
    settings, (note,) = written(Settings(), tmp_path / "subnet")
    assert settings.subnet == DEFAULT_SUBNET
    assert note.startswith(f"{tmp_path / 'subnet'} is not used, the workloads' bridge has {DEFAULT_SUBNET}: ")


def test_a_place_that_is_no_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "subnet").mkdir()
    settings, (note,) = written(Settings(), tmp_path / "subnet")
    assert settings.subnet == DEFAULT_SUBNET and "Is a directory" in note


def test_the_operating_systems_daemon_and_its_halt_read_it_among_what_is_put_there_by_hand(tmp_path: Path) -> None:
    layout = hosted(tmp_path)
    layout.by_hand.mkdir()
    (layout.by_hand / "subnet").write_text("10.254.254.0/24\n")
    settings, ground = _as_written(Settings(), None, layout)
    assert settings.subnet == "10.254.254.0/24" and ground is None
