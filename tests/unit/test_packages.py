"""What a machine is given of Debian's packages: apt itself is asked, about a machine and an archive that are made up."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tools.place import ROOT

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="this machine lacks root")

ARCHIVE = {"containerd": "Depends: runc\n", "runc": "", "erofs-utils": "", "lz4": ""}
DOCKERS_OWN = {
    "docker-ce": "Depends: containerd.io\n",
    "containerd.io": "".join(f"{word}: containerd, runc\n" for word in ("Provides", "Conflicts", "Replaces")),
}
_APT = """#!/bin/sh
echo "$*" >>{place}/asked
/usr/bin/apt-get "$@" >{place}/last
code=$?
cat {place}/last >>{place}/said
cat {place}/last
exit $code
"""


def stanza(name: str, more: str, where: str) -> str:
    who = "Version: 1.0\nArchitecture: all\nMaintainer: nobody\nDescription: made up\n"
    return f"Package: {name}\n{who}{where}{more}\n"


class Machine:
    """One that has these packages, and whose apt only says what it would do."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch, has: dict[str, str]) -> None:
        self._place = place
        for directory in ("archive", "bin", "cache/archives/partial", "dpkg/info", "dpkg/updates", "lists/partial"):
            (place / directory).mkdir(parents=True)
        for directory in ("apt.conf.d", "preferences.d"):
            (place / "etc" / directory).mkdir(parents=True)
        file = f"Filename: ./one.deb\nSize: 1\nSHA256: {'0' * 64}\n"
        (place / "archive/Packages").write_text("".join(stanza(name, more, file) for name, more in ARCHIVE.items()))
        there = "Status: install ok installed\n"
        (place / "dpkg/status").write_text("".join(stanza(name, more, there) for name, more in has.items()))
        (place / "etc/sources.list").write_text(f"deb [trusted=yes] file:{place}/archive ./\n")
        (place / "apt.conf").write_text(
            f'Dir::Etc "{place}/etc"; Dir::Cache "{place}/cache"; Dir::State::lists "{place}/lists";'
            f'Dir::State::status "{place}/dpkg/status"; APT::Get::Simulate "true"; APT::Sandbox::User "root";'
        )
        (place / "bin/apt-get").write_text(_APT.format(place=place))
        (place / "bin/apt-get").chmod(0o755)
        monkeypatch.setenv("APT_CONFIG", str(place / "apt.conf"))
        monkeypatch.setenv("DPKG_ADMINDIR", str(place / "dpkg"))
        monkeypatch.setenv("PATH", f"{place}/bin:{os.environ['PATH']}")

    def asked(self, *packages: str) -> tuple[int, str]:
        """The code, and the words, of asking for them."""
        done = subprocess.run([ROOT / "tools/packages", *packages], capture_output=True, text=True)
        return done.returncode, done.stderr

    def would(self, verb: str) -> set[str]:
        """What apt would do that to."""
        said = self._place / "said"
        return set(re.findall(rf"(?m)^{verb} (\S+)", said.read_text())) if said.exists() else set()

    @property
    def installs(self) -> bool:
        """Whether apt was told to do more than to say what it would do."""
        asked = (self._place / "asked").read_text().splitlines()
        return any(not one.startswith(("update ", "--simulate ")) for one in asked)


def test_what_a_machine_lacks_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(tmp_path, monkeypatch, {"lz4": ""})
    assert machine.asked("containerd", "lz4") == (0, "")
    assert machine.would("Inst") == {"containerd", "runc"} and machine.installs


def test_a_machine_with_dockers_own_packages_keeps_them_for_they_have_containerd_and_runc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(tmp_path, monkeypatch, DOCKERS_OWN)
    assert machine.asked("containerd", "runc", "lz4") == (0, "")
    assert (machine.would("Inst"), machine.would("Remv")) == ({"lz4"}, set())


def test_for_a_package_that_another_would_be_removed_for_nothing_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(tmp_path, monkeypatch, {"other-fs": "Conflicts: erofs-utils\n"})
    code, said = machine.asked("erofs-utils", "lz4")
    assert code == 1
    assert "for erofs-utils lz4, apt would remove other-fs from this machine" in said
    assert not machine.installs


@pytest.mark.parametrize("target", ["install", "up", "demo"])
def test_a_machine_that_capsule_only_runs_on_gets_no_services_of_the_tests(target: str) -> None:
    told = subprocess.run(
        ["make", "--dry-run", "--always-make", target], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    asked = {word for line in re.findall(r"tools/packages (.+)", told) for word in line.split()}
    assert {"containerd", "runc"} <= asked
    assert not asked & {"docker-registry", "podman", "buildah", "systemd-container"}
