"""docs/api.md: its client runs, and hears what the page says."""

import re
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from capsule.v1 import workload_pb2, workload_pb2_grpc
from tests.support.adopted import Adopted

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "api.md").read_text()
(CLIENT,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SPEC = workload_pb2.ContainerSpec(image="demo:1")
WEB = workload_pb2.Workload(name="web", container=SPEC)


@pytest.fixture
def key_path(adopted: Adopted, tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_bytes(adopted.key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def run(adopted: Adopted, key_path: Path, name: str, fingerprint: str = "") -> "subprocess.CompletedProcess[str]":
    about = adopted.house.house.about
    context = (adopted.house.address, about.identity.capsule_id, fingerprint or about.fingerprint, str(key_path))
    return subprocess.run(
        [sys.executable, "-c", CLIENT, *context, name],
        cwd=ROOT / "gen",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_client_of_the_page_lists_and_stops(adopted: Adopted, key_path: Path) -> None:
    workloads = workload_pb2_grpc.WorkloadServiceStub(adopted.channel())
    workloads.Apply(workload_pb2.WorkloadApplyRequest(workload=WEB), metadata=adopted.metadata())
    done = run(adopted, key_path, "web")
    first, last = done.stdout.splitlines()
    assert (done.returncode, first) == (0, "web pending")
    assert last.startswith("stopped by entry "), done.stderr


def test_it_branches_on_what_an_error_carries(adopted: Adopted, key_path: Path) -> None:
    done = run(adopted, key_path, "nobody")
    assert done.returncode == 1
    assert done.stderr.strip().endswith("(NOT_FOUND, WORKLOAD_NOT_FOUND, name)")


def test_it_speaks_to_no_other_machine(adopted: Adopted, key_path: Path) -> None:
    done = run(adopted, key_path, "web", fingerprint="0" * 64)
    assert (done.returncode, done.stderr) == (1, "another machine answers there\n")


def test_what_the_page_calls_a_reason_is_one() -> None:
    words = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", PAGE))
    reasons = words - {code.name for code in grpc.StatusCode} - {"WORKLOAD_NOT_FOUND"}
    texts = [path.read_text() for tree in ("capsuled", "projections") for path in (ROOT / tree).rglob("*.py")]
    assert reasons and not {one for one in reasons if not any(f'"{one}"' in text for text in texts)}
