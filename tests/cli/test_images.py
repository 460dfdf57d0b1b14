"""The image cache as an operator sees it."""

import gzip
import json
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from effects.images.building import digest
from tests.support.daemon import CTL, SERVE, Daemon, manifest
from tests.support.faulty import Fault, faulty_beside
from tests.support.images import INDEX, Sample, blobs, oci_archive
from tests.support.programs import running
from tests.support.registry import PASSWORD, USER, registry
from tools.demo_image import archive

pytestmark = pytest.mark.real


def bring(capsule: Daemon, directory: Path, content: bytes) -> None:
    path = directory / "archive.tar"
    path.write_bytes(content)
    capsule.good("image", "push", str(path))


def named(capsule: Daemon, name: str) -> dict[str, object]:
    found = [one for one in capsule.data("image", "list", "--all") if one.get("name", "") == name]
    assert found, name
    return dict(found[0])


def test_an_image_in_use_is_not_removed_and_its_users_are_named(capsule: Daemon, tmp_path: Path) -> None:
    bring(capsule, tmp_path, archive("used:1", command=("/bin/used",)))
    capsule.apply(manifest("user-b", SERVE, image="used:1"), "--wait")
    capsule.apply(manifest("user-a", SERVE, image="used:1"), "--wait")
    capsule.good("stop", "user-a", "--wait")
    refused = capsule.ctl("image", "rm", "used:1")
    assert refused.returncode == 1 and "used by user-a, user-b" in refused.stderr
    assert "user-a, user-b" in capsule.good("image", "list", "-o", "wide")
    capsule.good("delete", "user-a", "user-b", "--yes")
    assert capsule.good("image", "rm", "used:1", "--dry-run") != ""
    removed = capsule.ctl("image", "rm", "used:1")
    assert removed.returncode == 0 and removed.stdout.startswith("used:1\nsha256:") and "freed" in removed.stderr
    assert "used:1" not in capsule.good("image", "list")
    again = capsule.ctl("image", "rm", "used:1")
    assert again.returncode == 1 and "is not in the image cache" in again.stderr
    types = [event["type"] for event in capsule.history("docker.io/library/used:1")]
    assert types[-4:] == ["call.accepted", "image.removal_requested", "image.removed", "call.refused"]


def test_a_clean_up_keeps_what_former_revisions_may_need(capsule: Daemon, tmp_path: Path) -> None:
    images = [archive("moves:1", command=("/bin/moves", str(number))) for number in range(2)]
    bring(capsule, tmp_path, images[0])
    capsule.apply(manifest("mover", SERVE, image="moves:1"), "--wait")
    first = named(capsule, "docker.io/library/moves:1")["digest"]
    bring(capsule, tmp_path, images[1])
    capsule.apply(manifest("mover", SERVE, image="moves:1"), "--wait", "--pull")
    (old,) = [one for one in capsule.data("image", "list", "--all") if one["digest"] == first]
    assert "name" not in old and old["keptFor"] == ["mover"]
    capsule.good("image", "gc")
    assert first in [one["digest"] for one in capsule.data("image", "list", "--all")]
    capsule.good("delete", "mover", "--yes")
    would = capsule.ctl("image", "gc", "--dry-run")
    assert old["indexDigest"] in would.stdout.split()
    assert capsule.ctl("image", "gc", "--all").returncode == 2
    assert old["indexDigest"] in capsule.good("image", "gc").split()
    assert first not in [one["digest"] for one in capsule.data("image", "list", "--all")]
    capsule.good("image", "rm", "moves:1")


def test_sizes_are_what_is_stored_and_what_is_unpacked(capsule: Daemon, tmp_path: Path) -> None:
    sample = Sample(name="docker.io/library/sized:1", layers=(2_000_000, 1_000_000))
    content = oci_archive(sample)
    bring(capsule, tmp_path, content)
    with tarfile.open(tmp_path / "archive.tar") as tar:
        stored = sum(member.size for member in tar if member.name.startswith("blobs/"))
    image = named(capsule, sample.name)
    assert image["sizeBytes"] == stored
    assert 3_000_000 <= int(str(image["unpackedBytes"])) < 3_100_000
    assert image["builtUnix"] == 1714979289
    capsule.good("image", "rm", "sized:1")


def test_a_push_that_broke_off_sends_only_what_is_missing(capsule: Daemon, tmp_path: Path) -> None:
    sample = Sample(name="docker.io/library/resumed:1", layers=(3_000_000, 3_000_000), seed=7)
    path = tmp_path / "archive.tar"
    path.write_bytes(oci_archive(sample))
    environment = capsule.environment
    with running([CTL, "image", "push", "-"], stdin=subprocess.PIPE, env=environment) as push:
        assert push.stdin is not None
        push.stdin.write(path.read_bytes()[:5_000_000])
        push.stdin.flush()
        store = capsule.state / "containerd" / "root" / "io.containerd.content.v1.content"
        first = store / "blobs" / blobs(sample).layers[0].replace(":", "/")
        capsule.until(first.exists, "the first layer is here")
        capsule.until(lambda: any(one.stat().st_size for one in store.glob("ingest/*/data")), "and a part of the next")
        push.kill()
    capsule.until(lambda: capsule.history("--type", "stream.closed")[-1]["body"]["outcome"] == "cancelled", "it ended")
    again = capsule.ctl("image", "push", str(path))
    assert again.returncode == 0 and again.stdout == "resumed:1\n", again.stderr
    assert re.fullmatch(r"[12]\.\d MiB received, [2-4]\.\d MiB were here already\n", again.stderr), again.stderr
    third = capsule.ctl("image", "push", str(path))
    assert re.fullmatch(r"\d\.\d KiB received, 5\.7 MiB were here already\n", third.stderr), third.stderr
    capsule.good("image", "rm", "resumed:1")


def test_a_name_for_several_images_is_refused_before_anything_is_sent(capsule: Daemon, tmp_path: Path) -> None:
    path, before = tmp_path / "two.tar", len(capsule.history("--type", "stream.closed"))
    path.write_bytes(
        oci_archive(Sample(name="docker.io/library/one:1"), Sample(name="docker.io/library/two:1", seed=2))
    )
    done = capsule.ctl("image", "push", str(path), "--name", "web:1")
    assert done.returncode == 2 and "holds 2 images, and --name is one name" in done.stderr
    assert len(capsule.history("--type", "stream.closed")) == before
    packed = tmp_path / "two.tar.gz"
    packed.write_bytes(gzip.compress(path.read_bytes(), 1))
    done = capsule.ctl("image", "push", str(packed), "--name", "web:1")
    assert done.returncode == 1 and "holds 2 images, and `--name` is one name" in done.stderr
    assert "web:1" not in capsule.good("image", "list")
    assert capsule.good("image", "push", str(path)) == "one:1\ntwo:1\n"
    path.write_bytes(oci_archive(Sample(name="docker.io/library/one:1")))
    assert capsule.good("image", "push", str(path), "--name", "web:1") == "web:1\n"
    capsule.good("image", "rm", "one:1", "two:1", "web:1")


def test_a_bad_image_says_what_is_wrong_and_is_an_event(capsule: Daemon, tmp_path: Path) -> None:
    path = tmp_path / "bad.tar"
    for sample, words, reason in (
        (Sample(architecture="s390x"), "linux/s390x", "WRONG_ARCHITECTURE"),
        (Sample(damage="missing"), "lacks a blob", "IMAGE_UNREADABLE"),
        (Sample(damage="corrupt"), "is not what its digest", "IMAGE_CORRUPT"),
        (Sample(damage="unreadable"), "cannot be unpacked", "IMAGE_UNREADABLE"),
    ):
        path.write_bytes(oci_archive(sample))
        done = capsule.ctl("image", "push", str(path))
        assert done.returncode == 1 and words in done.stderr, done.stderr
        closed = capsule.history("--type", "stream.closed")[-1]["body"]
        assert (closed["outcome"], closed["reason"]) == ("failed", reason)


@pytest.mark.needs("docker-registry")
def test_a_login_is_tried_kept_sealed_and_forgotten(capsule: Daemon, tmp_path: Path) -> None:
    with registry(tls=True, auth="token") as running:
        assert running.ca is not None
        ref, ca = running.push(Sample(name=""), "secret/web:1"), str(running.ca.certificate_file)
        unknown = capsule.ctl("image", "pull", ref)
        assert unknown.returncode == 1 and f"image login {running.host} --ca FILE" in unknown.stderr
        login = ["image", "login", running.host, "-u", USER, "--password-stdin", "--ca", ca]
        wrong = capsule.ctl(*login, stdin="wrong\n")
        assert wrong.returncode == 1 and "incorrect username or password" in wrong.stderr
        assert capsule.data("image", "logins") == []
        capsule.good(*login, stdin=PASSWORD + "\n")
        (known,) = capsule.data("image", "logins")
        assert (known["host"], known["username"], known["ownCa"]) == (running.host, USER, True)
        pulled = capsule.good("image", "pull", ref)
        assert pulled == f"{ref}  {blobs(Sample(name='')).manifest['digest']}\n"
        assert named(capsule, ref)["sizeBytes"] == sum(map(len, blobs(Sample(name="")).content.values()))
        (event,) = capsule.history(ref, "--type", "image.pulled")
        assert event["body"]["bytes_received"] > 900_000
        assert capsule.good("image", "pull", ref) == pulled
        sealed = set((capsule.state / "sealed").iterdir())
        capsule.good("image", "logout", running.host)
        assert len(sealed - set((capsule.state / "sealed").iterdir())) == 2
        assert capsule.ctl("image", "pull", ref).returncode == 1
        assert capsule.ctl("image", "logout", running.host).returncode == 1
        capsule.good("image", "rm", ref)
    everything = json.dumps(capsule.history())
    assert PASSWORD not in everything and "BEGIN CERTIFICATE" not in everything
    assert PASSWORD not in capsule.output()


@pytest.mark.needs("docker-registry")
def test_the_digest_that_is_shown_is_one_that_is_known(capsule: Daemon) -> None:
    """Of an index and this machine's manifest in it, it is the index's; and the other means the same image."""
    sample = Sample(seed=11)
    entry = {**blobs(sample).manifest, "platform": {"os": "linux", "architecture": "amd64"}}
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).encode()
    with registry() as running:
        running.push(sample, "multi:amd64")
        running.push_document("multi", "1", INDEX, index)
        ref = f"{running.host}/multi"
        assert capsule.good("image", "pull", f"{ref}:1") == f"{ref}:1  {digest(index)}\n"
    image = named(capsule, f"{ref}:1")
    assert (image["digest"], image["indexDigest"]) == (entry["digest"], digest(index))
    assert digest(index) in capsule.good("image", "list", "-o", "wide")
    assert digest(index)[:19] in capsule.good("image", "list")
    # The registry is gone: both mean what is here.
    for number, which in enumerate((digest(index), entry["digest"])):
        capsule.apply(manifest(f"pinned-{number}", "true", image=f"{ref}@{which}", restart="NEVER"))
        capsule.good("delete", f"pinned-{number}", "--yes")
    capsule.good("image", "rm", f"{ref}:1", "--dry-run")
    for which in (digest(index), str(entry["digest"])):
        assert capsule.good("image", "rm", which, "--dry-run").split() == [f"{ref}:1", digest(index)]
    capsule.good("image", "rm", str(entry["digest"]))
    assert digest(index) not in capsule.good("image", "list", "--all", "-o", "wide")


@pytest.mark.needs("docker-registry")
def test_a_pull_that_cannot_be_says_why(capsule: Daemon) -> None:
    with registry() as running:
        running.push(Sample(), "web:1")
        missing = capsule.ctl("image", "pull", f"{running.host}/web:2")
        assert missing.returncode == 1 and "manifest unknown" in missing.stderr
        host = running.host
    down = capsule.ctl("image", "pull", f"{host}/web:1")
    assert down.returncode == 1 and f"{host} cannot be reached: Connection refused" in down.stderr
    closed = [event["body"] for event in capsule.history("--type", "stream.closed")][-2:]
    assert [one["reason"] for one in closed] == ["IMAGE_NOT_FOUND", "REGISTRY_UNREACHABLE"]
    assert capsule.ctl("image", "pull", "Not:A:Name").returncode == 1
    assert capsule.ctl("image", "login", host).returncode == 1
    assert capsule.ctl("image", "login", host, "-u", "me").returncode == 2


def demo_at(directory: Path, host: str, name: str) -> str:
    """The demo image as a registry has it: by its name there."""
    (directory / "demo.tar").write_bytes(archive("demo:1", command=("/bin/" + name,)))
    subprocess.run(
        ["skopeo", "copy", "--quiet", "--dest-tls-verify=false", f"oci-archive:{directory}/demo.tar", f"docker://{host}/{name}:1"],
        check=True,
    )  # fmt: skip
    return f"{host}/{name}:1"


@pytest.mark.needs("docker-registry")
def test_an_image_that_is_not_here_is_pulled_when_it_is_applied(capsule: Daemon, tmp_path: Path) -> None:
    with registry() as running:
        ref = demo_at(tmp_path, running.host, "first-use")
        plan = capsule.apply(manifest("puller", SERVE, image=ref), "--dry-run")
        assert "EnsureImage" in plan and f"fetch {ref}" in plan
        capsule.apply(manifest("puller", SERVE, image=ref), "--wait")
    types = [event["type"] for event in capsule.history("puller")]
    assert types[:5] == ["call.accepted", "workload.applied", "effect.started", "effect.done", "effect.started"]
    (pulled,) = capsule.history(ref, "--type", "image.pulled")
    tree = [node["event"]["type"] for node in capsule.data("history", "show", str(pulled["seq"]))["tree"]]
    assert tree[:2] == ["call.accepted", "workload.applied"] and "workload.started" in tree
    # The registry is gone by now: what is here is enough, for another workload too.
    capsule.apply(manifest("puller-2", SERVE, image=ref), "--wait")
    asked = capsule.ctl("apply", "-f", "-", "--pull", stdin=manifest("puller-2", SERVE, image=ref))
    assert asked.returncode == 1 and f"what {ref} means now cannot be asked for" in asked.stderr
    refused = capsule.history("--type", "call.refused")[-1]["body"]
    assert (refused["code"], refused["reason"]) == ("UNAVAILABLE", "REGISTRY_UNREACHABLE")
    capsule.good("delete", "puller", "puller-2", "--yes")
    capsule.good("image", "rm", ref)


@pytest.mark.needs("docker-registry")
def test_an_image_that_nobody_has_is_refused_and_says_what_to_do(capsule: Daemon) -> None:
    with registry() as running:
        ref = f"{running.host}/nothing:1"
        unknown = capsule.ctl("apply", "-f", "-", stdin=manifest("vain", SERVE, image=ref))
        assert (
            unknown.returncode == 1 and "image push FILE" in unknown.stderr and "not on this machine" in unknown.stderr
        )
    down = capsule.ctl("apply", "-f", "-", stdin=manifest("vain", SERVE, image=ref))
    assert down.returncode == 1 and "Connection refused" in down.stderr
    reasons = [(one["body"]["code"], one["body"]["reason"]) for one in capsule.history("--type", "call.refused")[-2:]]
    assert reasons == [("FAILED_PRECONDITION", "IMAGE_NOT_FOUND"), ("UNAVAILABLE", "REGISTRY_UNREACHABLE")]
    assert capsule.ctl("get", "vain").returncode == 1


def test_a_pull_is_seen_and_given_up_when_something_else_is_wanted(capsule: Daemon) -> None:
    sample = Sample(layers=(3_000_000,), seed=4)
    with faulty_beside() as running:
        ref = running.hold(sample, "slow:1")
        running.fail("/blobs/" + blobs(sample).layers[0], Fault(hang=True))
        capsule.apply(manifest("slow", SERVE, image=ref))
        # The body stops behind a megabyte; how much of it has been written down by then is the network's affair.
        seen = re.compile(r"1\.\d MiB of 2\.9 MiB")
        capsule.until(lambda: seen.search(capsule.status("slow").get("message", "")), "a part of it is here")
        status = capsule.status("slow")
        assert (status["phase"], status["phaseDetail"]) == ("WORKLOAD_PHASE_PENDING", "pulling")
        capsule.good("delete", "slow", "--yes")
        types = [event["type"] for event in capsule.history("slow")]
        assert types[-4:] == ["effect.abandoned", "effect.started", "effect.done", "workload.removed"]
        # What came is kept, and goes on from there.
        before = running.sent
        capsule.apply(manifest("slow", "true", image=ref, restart="NEVER"))
        capsule.until(lambda: capsule.history(ref, "--type", "image.pulled"), "it is here")
        assert running.sent - before < 2_100_000
        capsule.good("delete", "slow", "--yes")
        capsule.good("image", "rm", ref)
