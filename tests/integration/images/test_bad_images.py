"""Bad images and broken ways to them, as an operator meets them: each has its words, its event, and leaves nothing."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, daemon, manifest
from tests.support.faulty import Fault, FaultyRegistry, faulty_beside
from tests.support.images import Sample, blobs, oci_archive
from tests.support.registry import registry
from tests.support.small_disk import small_disk
from tools.demo_image import archive

pytestmark = pytest.mark.real

LARGE = Sample(layers=(3_000_000,), seed=4)


@pytest.fixture(scope="module")
def capsule() -> Iterator[Daemon]:
    with daemon() as made:
        yield made


@pytest.fixture
def faulty() -> Iterator[FaultyRegistry]:
    with faulty_beside() as made:
        yield made


def traces(capsule: Daemon) -> list[str]:
    """What is on the disk of images: blobs, parts of blobs, unpacked layers."""
    root = capsule.state / "containerd" / "root"
    content, layers = root / "io.containerd.content.v1.content", root / "io.containerd.snapshotter.v1.overlayfs"
    patterns = (content, "blobs/sha256/*"), (content, "ingest/*"), (layers, "snapshots/*")
    return [str(path.relative_to(root)) for top, pattern in patterns for path in top.glob(pattern)]


def given_up(capsule: Daemon, name: str) -> tuple[str, str]:
    """Of what failed for good, the reason and the words, as the history has them."""
    capsule.until(lambda: capsule.status(name)["phase"] == "WORKLOAD_PHASE_FAILED", f"{name} has failed")
    body = capsule.history(name, "--type", "effect.failed")[-1]["body"]
    assert body.get("permanent") and body["message"] in capsule.status(name)["message"]
    return body["reason"], body["message"]


def refused(capsule: Daemon, text: str) -> tuple[str, str]:
    """Of an apply that is not accepted, the reason as the history has it, and the words."""
    done = capsule.ctl("apply", "-f", "-", stdin=text)
    assert done.returncode == 1
    return str(capsule.history("--type", "call.refused")[-1]["body"]["reason"]), done.stderr


@pytest.mark.parametrize(
    ("sample", "reason", "words"),
    [
        (Sample(damage="missing"), "IMAGE_NOT_FOUND", "does not have"),
        (Sample(damage="corrupt"), "IMAGE_CORRUPT", "is not what its digest sha256:"),
        (Sample(damage="unreadable"), "IMAGE_UNREADABLE", "a layer of the image cannot be unpacked"),
    ],
    ids=["missing layer", "digest mismatch", "unreadable layer"],
)
def test_what_cannot_be_had_fails_once_and_is_not_tried_again(
    capsule: Daemon, faulty: FaultyRegistry, sample: Sample, reason: str, words: str
) -> None:
    ref = faulty.hold(sample, "bad:1")
    capsule.apply(manifest("bad", "true", image=ref))
    why, message = given_up(capsule, "bad")
    assert why == reason and words in message and message.startswith(f"{ref} is not on this machine")
    assert capsule.data("image", "list", "--all") == []
    capsule.until(lambda: traces(capsule) == [], "nothing of it is left")
    # Mended at its registry under another digest, it is what the next apply means.
    good = faulty.hold(Sample(seed=5), "bad:1")
    capsule.apply(manifest("bad", "true", image=good, restart="NEVER"), "--pull")
    capsule.until(lambda: capsule.history(good, "--type", "image.pulled"), "it is here")
    capsule.good("delete", "bad", "--yes")
    capsule.good("image", "rm", good)
    assert traces(capsule) == []


def test_an_image_for_another_machine_is_refused_at_once(capsule: Daemon, faulty: FaultyRegistry) -> None:
    ref = faulty.hold(Sample(architecture="s390x"), "big:1")
    reason, message = refused(capsule, manifest("big", "true", image=ref))
    assert reason == "WRONG_ARCHITECTURE" and "linux/s390x" in message
    assert capsule.good("list", "-o", "name") == "" and traces(capsule) == []


@pytest.mark.needs("docker-registry")
def test_an_unknown_certificate_is_named_with_the_way_out(capsule: Daemon) -> None:
    with registry(tls=True) as running:
        ref = running.push(Sample(), "web:1")
        reason, message = refused(capsule, manifest("web", "true", image=ref))
        assert reason == "REGISTRY_UNTRUSTED" and f"capsulectl image login {running.host} --ca FILE" in message
        assert running.ca is not None
        capsule.good("image", "login", running.host, "--ca", str(running.ca.certificate_file))
        capsule.apply(manifest("web", "true", image=ref, restart="NEVER"))
        capsule.until(lambda: capsule.history(ref, "--type", "image.pulled"), "it is here")
        capsule.good("delete", "web", "--yes")
        capsule.good("image", "rm", ref)
        capsule.good("image", "logout", running.host)


def test_a_registry_that_goes_down_under_a_pull_is_waited_for(capsule: Daemon, faulty: FaultyRegistry) -> None:
    ref, layer = faulty.hold(LARGE, "slow:1"), blobs(LARGE).layers[0]
    faulty.fail(layer, Fault(cut=1_000_000))
    faulty.fail(layer, Fault(refuse=True), times=5)
    capsule.apply(manifest("slow", "true", image=ref, restart="NEVER"))
    capsule.until(lambda: capsule.history("slow", "--type", "effect.failed"), "a try has failed")
    (failed,) = capsule.history("slow", "--type", "effect.failed")
    assert failed["body"]["reason"] == "REGISTRY_UNREACHABLE" and not failed["body"].get("permanent")
    capsule.until(lambda: capsule.history(ref, "--type", "image.pulled"), "it is here")
    (pulled,) = capsule.history(ref, "--type", "image.pulled")
    assert pulled["body"]["bytes_received"] < 2_100_000
    capsule.good("delete", "slow", "--yes")
    capsule.good("image", "rm", ref)


@pytest.mark.parametrize("place", ["a blob", "a layer"])
def test_a_containerd_that_is_killed_under_a_pull_is_back_and_the_pull_goes_on(
    capsule: Daemon, faulty: FaultyRegistry, place: str
) -> None:
    ref = faulty.hold(Sample(layers=(60_000_000,), seed=6), "cut:1")
    capsule.apply(manifest("cut", "true", image=ref, restart="NEVER"))
    root = capsule.state / "containerd" / "root"
    began = "io.containerd.content.v1.content/ingest/*/data" if place == "a blob" else (
        "io.containerd.snapshotter.v1.overlayfs/snapshots/*/fs/data-0"
    )  # fmt: skip
    capsule.until(lambda: any(one.stat().st_size for one in root.glob(began)), f"{place} is under way")
    os.kill(capsule.containerd_pid(), signal.SIGKILL)
    capsule.until(lambda: capsule.history(ref, "--type", "image.pulled"), "it is here", seconds=60)
    failed = [one["body"] for one in capsule.history("cut", "--type", "effect.failed")]
    assert {one["reason"] for one in failed if one["effect"] == "EnsureImage"} <= {"RUNTIME_UNAVAILABLE"}
    capsule.good("delete", "cut", "--yes")
    capsule.good("image", "rm", ref)
    capsule.until(lambda: traces(capsule) == [], "nothing of it is left")


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (Sample(layers=(45_000_000,), seed=8), "too little room: at least 118 MiB have to be free"),
        (Sample(layers=(100_000_000,), seed=8, airy=True), "the disk is full"),
    ],
    ids=["foreseen", "found when it is unpacked"],
)
def test_a_disk_that_a_pull_would_fill_is_named_and_once_there_is_room_the_pull_is_done(
    tmp_path: Path, faulty: FaultyRegistry, sample: Sample, words: str
) -> None:
    ref = faulty.hold(sample, "large:1")
    with small_disk(tmp_path, 192 << 20) as disk, daemon(state=disk.mount / "state") as capsule:
        disk.fill()
        ballast = disk.mount / "ballast"
        with ballast.open("ab") as file:
            file.truncate(ballast.stat().st_size - 90_000_000)
        capsule.apply(manifest("large", "true", image=ref, restart="NEVER"))
        capsule.until(lambda: capsule.history("large", "--type", "effect.failed"), "the disk is full")
        failed = capsule.history("large", "--type", "effect.failed")[0]["body"]
        assert failed["reason"] == "NO_SPACE" and not failed.get("permanent") and words in failed["message"]
        capsule.until(lambda: len(capsule.history("large", "--type", "effect.failed")) > 3, "it is tried again")
        asked = [path for path, _ in faulty.asked if path.endswith(blobs(sample).layers[0])]
        assert len(asked) == sample.airy, "and nothing is fetched for nothing"
        assert "Free space under the state directory" in capsule.status("large")["message"]
        assert capsule.status("large")["phaseDetail"] == "retrying"
        disk.free()
        capsule.until(lambda: capsule.history(ref, "--type", "image.pulled"), "there was room", seconds=90)
        capsule.good("delete", "large", "--yes")
        capsule.good("image", "rm", ref)
        assert traces(capsule) == []


def test_an_image_that_does_not_say_what_to_run_needs_a_command(capsule: Daemon, tmp_path: Path) -> None:
    path = tmp_path / "mute.tar"
    path.write_bytes(archive("mute:1", command=()))
    capsule.good("image", "push", str(path))
    text = '{"name": "mute", "kind": "Container", "container": {"image": "mute:1", "networkMode": "NONE"}}'
    capsule.apply(text)
    reason, message = given_up(capsule, "mute")
    assert reason == "ENTRYPOINT_MISSING" and "Say `command:`" in message
    capsule.apply(text.replace('"networkMode"', '"command": ["true"], "restart": "NEVER", "networkMode"'))
    capsule.good("wait", "mute", "--for", "completed")
    capsule.good("delete", "mute", "--yes")
    capsule.good("image", "rm", "mute:1")
    assert traces(capsule) == []


def test_what_is_wrong_with_an_archive_is_an_event_and_leaves_nothing(capsule: Daemon, tmp_path: Path) -> None:
    path = tmp_path / "bad.tar"
    for content, reason in (
        (oci_archive(Sample(architecture="s390x")), "WRONG_ARCHITECTURE"),
        (oci_archive(Sample(damage="corrupt")), "IMAGE_CORRUPT"),
        (oci_archive(Sample(damage="unreadable")), "IMAGE_UNREADABLE"),
        (oci_archive(Sample())[:-400_000], "IMAGE_UNREADABLE"),
        (b"no archive at all" * 100, "IMAGE_UNREADABLE"),
    ):
        path.write_bytes(content)
        assert capsule.ctl("image", "push", str(path)).returncode == 1
        closed = capsule.history("--type", "stream.closed")[-1]["body"]
        assert (closed["outcome"], closed["reason"]) == ("failed", reason)
        # containerd closes what is left of a write that was broken off in its own time.
        capsule.until(lambda: traces(capsule) == [], "nothing is left of it")
