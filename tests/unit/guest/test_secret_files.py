"""Secrets as files in the guest: each whole, whatever the others are called and whoever places them meanwhile."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from capsule.guest.v1 import guest_pb2 as pb
from guest import boot, kernel
from guest.run import Run
from guest.service import secret_files
from tests.support.runs_in_guests import described


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the agent has secrets, for a run with two directories of them."""
    monkeypatch.setattr(secret_files, "SECRETS", str(tmp_path))
    for number in range(2):
        (tmp_path / str(number)).mkdir()
    return tmp_path


def place(files: dict[str, bytes]) -> None:
    secret_files.place(
        [
            pb.SecretFile(path=path, mode=0o400, uid=os.geteuid(), gid=os.getegid(), content=content)
            for path, content in files.items()
        ],
        ["/s", "/t"],
    )


def found(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_secret_may_have_any_name_beside_another(root: Path) -> None:
    for version in (b"1", b"2"):
        place({"/s/key.new": b"new" + version, "/s/key": b"key" + version, "/s/.new": version, "/t/0": version})
        assert found(root) == {
            "0/key.new": b"new" + version,
            "0/key": b"key" + version,
            "0/.new": version,
            "1/0": version,
        }
    place({"/t/0": b"3"})
    assert found(root) == {"1/0": b"3"}


def test_what_a_run_begins_with_may_have_any_name_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot, "FILES", str(tmp_path / "files"))
    monkeypatch.setattr(boot, "SECRETS", str(tmp_path / "secrets"))
    monkeypatch.setattr(kernel, "mount", lambda *_: None)
    secrets = [
        {"path": path, "mode": 0o400, "uid": os.geteuid(), "gid": os.getegid(), "base64": content}
        for path, content in (("/s/key.new", "bmV3"), ("/s/key", "a2V5"))
    ]
    if os.geteuid():
        monkeypatch.setattr(os, "fchown", lambda *_: None)
    boot._write_files(Run(described(secrets=secrets, files={"/etc/hosts": "hosts"})))
    assert found(tmp_path) == {"files/0": b"hosts", "secrets/0/key.new": b"new", "secrets/0/key": b"key"}


def test_of_rotations_at_once_one_is_what_there_is(root: Path) -> None:
    rotations = [{f"/s/{name}": bytes([number]) * 100_000 for name in "abcdef"} for number in range(8)]
    with ThreadPoolExecutor(len(rotations)) as callers:
        list(callers.map(place, rotations))
    contents = found(root)
    assert set(contents) == {f"0/{name}" for name in "abcdef"}
    assert len(set(contents.values())) == 1 and contents["0/a"] == bytes([contents["0/a"][0]]) * 100_000
