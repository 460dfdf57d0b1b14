"""Volumes as files under a real daemon: out of a running workload, into another, and never half of one."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.test_volumes import count, user, volume
from tests.support.daemon import BIN, CTL, Daemon, daemon
from tests.support.programs import running

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def capsule() -> Iterator[Daemon]:
    with daemon() as made:
        made.push_image()
        yield made


@pytest.fixture(scope="module")
def exported(capsule: Daemon, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a volume that a workload runs on, with some megabytes that do not compress."""
    file = tmp_path_factory.mktemp("volumes") / "data.volume"
    capsule.apply(f"{volume('data')}\n---\n{user('web', 'data')}", "--wait")
    assert count(capsule, "web") == 1
    capsule.good("exec", "web", "--", "sh", "-c", "head -c 4000000 /dev/urandom > /data/noise; sync")
    pid = capsule.status("web")["pid"]
    capsule.good("volume", "export", "data", str(file))
    assert capsule.status("web")["pid"] == pid, "it went on meanwhile"
    return file


def volumes(capsule: Daemon) -> list[str]:
    return capsule.good("volume", "list", "-o", "name").split()


def snapshots(capsule: Daemon) -> list[str]:
    return capsule.good("volume", "snapshots", "data", "-o", "name").split()


def staged(capsule: Daemon) -> list[Path]:
    return [path for path in (capsule.state / "volumes").iterdir() if "import" in path.name]


def test_what_was_exported_is_a_volume_again_under_another_name(
    capsule: Daemon, exported: Path, tmp_path: Path
) -> None:
    assert 4_000_000 < exported.stat().st_size < 5_000_000 and exported.stat().st_mode & 0o777 == 0o600
    capsule.until(lambda: not snapshots(capsule), "the snapshot was for the export alone, and is removed")
    again = capsule.ctl("volume", "export", "data", str(exported))
    assert again.returncode == 2 and "say --force" in again.stderr
    assert "volume/copied imported, 32 MiB" in capsule.good("volume", "import", "copied", str(exported))
    capsule.apply(user("heir", "copied"), "--wait")
    assert count(capsule, "heir") == 2
    for name in ("web", "heir"):
        capsule.good("cp", f"{name}:/data/noise", str(tmp_path / name))
    assert (tmp_path / "web").read_bytes() == (tmp_path / "heir").read_bytes() != b""
    (made,) = capsule.history("copied", "--type", "volume.applied")
    assert "imported" in made["summary"] and not staged(capsule)
    streams = capsule.history("copied", "--type", "stream.closed")
    assert [one["body"]["outcome"] for one in streams] == ["ok"] and streams[0]["body"]["bytes_in"] > 4_000_000
    taken = capsule.ctl("volume", "import", "copied", str(exported))
    assert taken.returncode == 1 and "exists already, with data of its own" in taken.stderr


def test_through_a_pipe_and_from_a_snapshot_that_is_there(capsule: Daemon, exported: Path) -> None:
    capsule.good("volume", "snapshot", "data", "then")
    command = f"{BIN}/capsulectl volume export data - --snapshot then | {BIN}/capsulectl volume import piped -"
    subprocess.run(command, shell=True, env=capsule.environment, check=True, capture_output=True)
    assert "piped" in volumes(capsule) and snapshots(capsule) == ["then"]
    missing = capsule.ctl("volume", "export", "data", "-", "--snapshot", "never")
    assert missing.returncode == 1 and "has no snapshot never; it has then" in missing.stderr


@pytest.mark.parametrize("how", ["altered", "cut", "empty", "no volume's"])
def test_a_file_that_is_not_whole_is_no_volume(capsule: Daemon, exported: Path, tmp_path: Path, how: str) -> None:
    whole, file = exported.read_bytes(), tmp_path / "bad.volume"
    at = len(whole) // 2
    content = {
        "altered": whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :],
        "cut": whole[:-20],
        "empty": b"",
        "no volume's": os.urandom(50_000),
    }[how]
    file.write_bytes(content)
    refused = capsule.ctl("volume", "import", "never", str(file))
    assert refused.returncode == 1 and "There is no volume of it: export it again" in refused.stderr
    assert "never" not in volumes(capsule) and not staged(capsule)
    assert capsule.history("never", "--type", "stream.closed")[-1]["body"]["reason"] == "BAD_VOLUME_FILE"


@pytest.mark.parametrize("whose", ["client", "daemon"])
def test_an_import_that_is_interrupted_leaves_nothing(capsule: Daemon, exported: Path, whose: str) -> None:
    with running(
        [CTL, "volume", "import", "half", "-"],
        env=capsule.environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as sender:  # fmt: skip
        assert sender.stdin is not None
        sender.stdin.write(exported.read_bytes()[:3_000_000])
        sender.stdin.flush()
        capsule.until(lambda: staged(capsule), "some of it has come")
        if whose == "client":
            sender.kill()
        else:
            capsule.kill()
            sender.kill()
            assert staged(capsule), "what was cut lies there still"
            capsule.start()
        sender.wait()
    capsule.until(lambda: not staged(capsule), "nothing of it lies there any more")
    assert "half" not in volumes(capsule)
    outcome = {"client": "cancelled", "daemon": "lost"}[whose]
    capsule.until(
        lambda: capsule.history("half", "--type", "stream.closed")[-1]["body"]["outcome"] == outcome, "it is told"
    )


def test_a_volume_whose_storage_is_gone_gets_its_content_back(capsule: Daemon, exported: Path) -> None:
    uid = capsule.data("volume", "get", "data")["uid"]
    capsule.good("stop", "web", "--wait")
    (capsule.state / "volumes" / f"data.{uid}.img").unlink()
    capsule.kill()
    capsule.start()
    capsule.until(lambda: capsule.data("volume", "get", "data")["phase"] == "lost", "it is missed")
    capsule.good("start", "web")
    assert "volume data is not in the storage any more" in capsule.good("why", "web")
    capsule.good("volume", "import", "data", str(exported))
    capsule.good("wait", "web", "--for", "running")
    assert count(capsule, "web") == 2 and capsule.data("volume", "get", "data")["uid"] == uid
