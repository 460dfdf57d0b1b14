"""The image cache as an operator sees it."""

import json
import tarfile
from pathlib import Path

import pytest

from tests.support.daemon import SERVE, Daemon, manifest
from tests.support.images import Sample, blobs, oci_archive
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
