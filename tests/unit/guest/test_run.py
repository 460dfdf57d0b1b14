"""The run's disk, read without the parts of the standard library that are slow to import."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from guest.run import parsed, read
from tests.support.runs_in_guests import described

SLOW = (
    "typing",
    "collections",
    "json",
    "re",
    "enum",
    "dataclasses",
    "socket",
    "signal",
    "subprocess",
    "ctypes",
    "pathlib",
)


def test_what_a_payload_waits_for_imports_nothing_slow() -> None:
    code = "import sys; sys.path.insert(0, '.'); import guest.init; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & set(SLOW)


def test_a_run_is_read_from_its_disk(tmp_path: Path) -> None:
    disk = tmp_path / "run"
    disk.write_bytes(
        json.dumps(described(hostname="käse", capabilities=[0, 3], raised=[3, 12])).encode().ljust(4_096, b"\0")
    )
    run = read(str(disk))
    assert (run.hostname, run.user.uid, run.capabilities) == ("käse", 0, frozenset({0, 3}))
    assert run.raised == frozenset({3}), "nothing is raised that may not be had"


def test_a_run_that_lacks_a_field_is_none(tmp_path: Path) -> None:
    disk = tmp_path / "run"
    said = described()
    del said["argv"]
    disk.write_bytes(json.dumps(said).encode())
    with pytest.raises(KeyError):
        read(str(disk))


@pytest.mark.parametrize("text", ['{"a": [1, -2.5, "\\u00e4\\ud83d\\ude00/", true, null]}', "[]", '"x"', "7"])
def test_json_is_read_as_the_standard_library_reads_it(text: str) -> None:
    assert parsed(text + " \0\n") == json.loads(text)


@pytest.mark.parametrize("text", ["", "{", '{"a": 1} 2', "nul", '{"a": 01}'])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parsed(text)
