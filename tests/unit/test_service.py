"""What `make install` lays down."""

import configparser
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from image import house, python
from tools import environment_file, service


@pytest.fixture
def roots_own() -> Iterator[None]:
    before = os.umask(0o077)  # noqa: TID251 - nothing else runs meanwhile
    yield
    os.umask(before)  # noqa: TID251


@pytest.mark.usefixtures("roots_own")
def test_everybody_may_run_the_commands_whatever_roots_umask_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house, "packages", lambda: ("init",))
    monkeypatch.setattr(python, "place", lambda site: (site / "msgspec.py").touch())
    monkeypatch.setattr(service, "GUEST", Path("no such directory"))
    prefix = tmp_path / "capsule.new"
    service._lay_down(prefix)
    there = [prefix, *(one for one in prefix.rglob("*") if not one.is_symlink())]
    found = {str(one.relative_to(prefix)): one.stat().st_mode & 0o777 for one in there}
    assert found["."] == found["bin"] == found["bin/capsulectl"] == found["house/init"] == 0o755
    assert found["house/init/main.py"] == found["house/requirements.lock"] == 0o644
    assert set(found.values()) == {0o755, 0o644}


def test_the_service_waits_for_the_disk_under_the_state() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.read(service.ROOT / "tools/capsuled.service")
    assert unit["Unit"]["RequiresMountsFor"] == str(service.STATE)
    assert {"local-fs.target", "remote-fs.target"} <= set(unit["Unit"]["After"].split())


class Installed:
    """A machine of systemd's below a directory. `done` is what was asked of systemd and of the daemon, in order."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place = place
        for name in ("systemd", "etc", "bin", "lib/capsule/journal"):
            (place / name).mkdir(parents=True)
        self.prefix, self.state, self.options = place / "opt/capsule", place / "lib/capsule", place / "etc/options"
        for name, path in {
            "SYSTEMD": place / "systemd", "UNIT": place / "etc/unit", "LINKS": place / "bin", "PREFIX": self.prefix,
            "STATE": self.state, "OPTIONS": self.options,
        }.items():  # fmt: skip
            monkeypatch.setattr(service, name, path)
        monkeypatch.setattr(service, "_lay_down", self._lay_down)
        monkeypatch.setattr(service, "_systemctl", self._systemctl)
        monkeypatch.setattr(os, "sync", lambda: self.note(f"sync, {self.release or 'nothing'} there"))
        self.laid = ""

    @property
    def release(self) -> str:
        """Which one is in its place."""
        file = self.prefix / "release"
        return file.read_text() if file.exists() else ""

    @property
    def done(self) -> list[str]:
        file = self.place / "done"
        return file.read_text().splitlines() if file.exists() else []

    def note(self, line: str) -> None:
        with (self.place / "done").open("a") as file:
            file.write(f"{line}\n")

    def install(self, release: str) -> None:
        self.laid = release
        service.install()

    def _lay_down(self, prefix: Path) -> None:
        (prefix / "bin").mkdir(parents=True)
        (prefix / "release").write_text(self.laid)
        (prefix / "bin/capsuled").write_text(f'#!/bin/sh\necho "$*" >>{self.place}/done\n')
        (prefix / "bin/capsuled").chmod(0o755)

    def _systemctl(self, *words: str) -> None:
        former = self.prefix.with_suffix(".old")
        self.note(f"{words[0]}{', the former is kept' if former.exists() else ''}")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    return Installed(tmp_path, monkeypatch)


def test_a_release_is_on_the_disk_before_it_is_in_place_and_the_former_goes_once_it_runs(machine: Installed) -> None:
    machine.install("one")
    machine.install("two")
    assert machine.done[5:] == [
        "sync, one there",
        "daemon-reload, the former is kept",
        "enable, the former is kept",
        "sync, two there",
        "restart, the former is kept",
    ]
    assert machine.release == "two" and [one.name for one in (machine.place / "opt").iterdir()] == ["capsule"]


def test_a_command_of_somebody_elses_is_seen_before_anything_is_changed(machine: Installed) -> None:
    machine.install("one")
    link = machine.place / "bin/capsulectl"
    link.unlink()
    link.write_text("somebody's")
    with pytest.raises(SystemExit, match="is there already and is not ours"):
        machine.install("two")
    assert machine.release == "one" and not machine.prefix.with_suffix(".new").exists()


def test_what_an_installation_left_that_was_cut_off_is_taken_away_with_all(machine: Installed) -> None:
    machine.install("one")
    machine.prefix.rename(machine.prefix.with_suffix(".old"))  # between the two renames
    machine.laid = "two"
    machine._lay_down(machine.prefix.with_suffix(".new"))
    service.uninstall(purge=False)
    assert f"--state {machine.state} --halt" in machine.done, "what runs is ended before"
    assert not list((machine.place / "opt").iterdir())


def test_an_installation_that_was_cut_off_is_made_again(machine: Installed) -> None:
    machine.install("one")
    machine.prefix.rename(machine.prefix.with_suffix(".old"))
    machine.install("two")
    assert machine.done[5] == "sync, one there", "what ran is in its place while the new one is made"
    assert machine.release == "two" and [one.name for one in (machine.place / "opt").iterdir()] == ["capsule"]


def test_the_state_that_options_name_is_halted_and_stays(
    machine: Installed, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.install("one")
    named = machine.place / "srv"
    (named / "journal").mkdir(parents=True)
    (machine.state / "journal").rmdir()
    machine.options.write_text(f"CAPSULED_OPTIONS=--state {named} --bridge br7\n")
    service.uninstall(purge=True)
    assert f"--state {machine.state} --state {named} --bridge br7 --halt" in machine.done
    assert named.exists() and not machine.state.exists() and not machine.options.exists()
    assert f"uninstalled; {named} stays" in capsys.readouterr().out


def test_nothing_is_taken_away_while_something_is_not_down(machine: Installed) -> None:
    machine.install("1")
    (machine.prefix / "bin/capsuled").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(SystemExit, match="not everything is down"):
        service.uninstall(purge=True)
    assert machine.release == "1" and machine.state.is_dir()


def test_a_purge_follows_a_link_to_the_state(machine: Installed) -> None:
    machine.install("one")
    elsewhere = machine.place / "disk"
    machine.state.rename(elsewhere)
    machine.state.symlink_to(elsewhere)
    service.uninstall(purge=True)
    assert not elsewhere.exists() and not machine.state.is_symlink()


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ('CAPSULED_OPTIONS="--listen 0.0.0.0:50000 --metrics"\n', ["--listen", "0.0.0.0:50000", "--metrics"]),
        ("CAPSULED_OPTIONS=--listen 0.0.0.0:50000 --metrics  \n", ["--listen", "0.0.0.0:50000", "--metrics"]),
        ("# CAPSULED_OPTIONS=no \\\n; it goes on\nCAPSULED_OPTIONS='a b'", ["a", "b"]),
        ("no line of ours\n CAPSULED_OPTIONS = --bridge \\\n  br1\nOTHER=$(reboot)\n", ["--bridge", "br1"]),
        ("CAPSULED_OPTIONS=one\nCAPSULED_OPTIONS=$(two)", ["$(two)"]),
        ('CAPSULED_OPTIONS="--state \'/srv/a b\' \\"c\\" \\d"', ["--state", "/srv/a b", "c", "d"]),
        ("CAPSULED_OPTIONS='a ' \"b\" \nX=1", ["a", "b"]),
        ("CAPSULED_OPTIONS=\nX=1", []),
        ("", []),
    ],
)
def test_options_are_what_systemd_makes_of_their_file(text: str, options: list[str]) -> None:
    assert environment_file.words(environment_file.variables(text).get("CAPSULED_OPTIONS", "")) == options
