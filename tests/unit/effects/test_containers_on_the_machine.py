"""The small readers and writers beside a container: its own files, devices, a vain start."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from effects.containers.devices import machine_devices
from effects.containers.mounts import OwnFile
from effects.containers.never_ran import never_ran
from effects.containers.own_files import OwnFiles
from effects.runs.etc import resolv_text
from effects.runs.protocol import RunSpec

RUN = RunSpec("web", 7, 7, 1, "sha256:1")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("exec /bin/x: exec format error\n", "built for another machine than this one (x86_64)"),
        ("exec /bin/x: no such file or directory", "interpreter or loader"),
        ("exec /bin/x: permission denied\n", "does not let it be executed"),
    ],
)
def test_a_process_that_never_became_its_command_is_recognised(tmp_path: Path, said: str, words: str) -> None:
    (tmp_path / "err").write_text(said)
    found = never_ran(tmp_path / "err", "x86_64")
    assert "the command `/bin/x`" in found and words in found


@pytest.mark.parametrize(
    "said", ["", "sh: x: exec format error\n", "exec /bin/x: exec format error\nand more\n", "exec x: lost\n"]
)
def test_what_a_command_says_itself_is_not_taken_for_it(tmp_path: Path, said: str) -> None:
    (tmp_path / "err").write_text(said)
    assert never_ran(tmp_path / "err", "x86_64") == "" == never_ran(tmp_path / "nothing", "x86_64")


def test_own_files_say_who_is_who_and_go_with_the_incarnation(tmp_path: Path) -> None:
    files = OwnFiles(tmp_path)
    own = files.write(replace(RUN, hostname="db", extra_hosts=(("cache", "10.0.0.5"),)))
    hosts = Path(own["/etc/hosts"].source).read_text().splitlines()
    assert hosts[0] == "127.0.0.1\tlocalhost" and hosts[-2:] == ["127.0.1.1\tdb", "10.0.0.5\tcache"]
    assert (
        Path(own["/etc/hostname"].source).read_text() == "db\n"
        and Path(own["/etc/resolv.conf"].source).read_text() == ""
    )
    files.write(replace(RUN, uid=8))
    files.remove("web", 7)
    files.remove("web", 7)
    assert [path.name for path in (tmp_path / "web").iterdir()] == ["8"]
    files.remove("web", 8)
    assert list(tmp_path.iterdir()) == []


def test_a_bridged_container_asks_the_bridge_and_keeps_the_machines_domains_and_options() -> None:
    machine = "domain old\nsearch lan home\nnameserver 127.0.0.53\n options edns0\n"
    expected = "nameserver 172.20.254.1\nsearch capsule old lan home\noptions edns0\n"
    assert resolv_text(machine, "172.20.254.1") == expected


def test_a_bridged_container_knows_its_own_address_by_its_name(tmp_path: Path) -> None:
    run = replace(RUN, network="bridge", address="172.20.254.9", nameserver="172.20.254.1")
    own = OwnFiles(tmp_path).write(run)
    assert "172.20.254.9\tweb" in Path(own["/etc/hosts"].source).read_text().splitlines()
    assert Path(own["/etc/resolv.conf"].source).read_text().startswith("nameserver 172.20.254.1\nsearch capsule")


def test_a_file_that_is_mounted_stays_the_same_file(tmp_path: Path) -> None:
    files = OwnFiles(tmp_path)
    before = Path(files.write(RUN)["/etc/hosts"].source).stat().st_ino
    assert Path(files.write(replace(RUN, run=2))["/etc/hosts"].source).stat().st_ino == before


def test_on_network_host_the_machines_files_are_mounted_with_what_was_added(tmp_path: Path) -> None:
    files = OwnFiles(tmp_path)
    assert files.write(replace(RUN, network="host"))["/etc/hosts"] == OwnFile("/etc/hosts", read_only=True)
    own = files.write(replace(RUN, network="host", extra_hosts=(("cache", "10.0.0.5"),)))
    text = Path(own["/etc/hosts"].source).read_text()
    assert text.startswith(Path("/etc/hosts").read_text().rstrip()) and text.endswith("\n10.0.0.5\tcache\n")


def test_devices_are_the_machines_nodes_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    (tmp_path / "link").symlink_to("/dev/null")
    assert machine_devices(tmp_path) == []
    paths = [node["path"] for node in machine_devices()]
    assert not {"/dev/null", "/dev/console", "/dev/ptmx"} & set(paths)
    assert not any(path.startswith(("/dev/pts/", "/dev/shm/")) for path in paths)
