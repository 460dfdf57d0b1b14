"""An archive before it is sent: what is a blob of it, and what is left when some bytes are."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

from capsule.v1 import image_pb2 as pb
from capsulectl.archive import blobs, digest_of, images_in, without
from tests.support.images import Sample, add, oci_archive, tree

LARGE = bytes(range(256)) * 2_000
NAME = hashlib.sha256(LARGE).hexdigest()


def made(path: Path, *names: str, content: bytes = LARGE) -> Path:
    with tarfile.open(path, "w") as tar:
        for name in names:
            add(tar, name, content)
    return path


def test_members_are_blobs_by_their_names_and_only_a_layouts_names_are_sure(tmp_path: Path) -> None:
    names = (f"blobs/sha256/{NAME}", f"{NAME}.tar", "0123/layer.tar", "manifest.json")
    path = made(tmp_path / "a.tar", *names)
    found = blobs(path)
    assert [(one.digest, one.size, one.sure) for one in found] == [
        (f"sha256:{NAME}", len(LARGE), True),
        (f"sha256:{NAME}", len(LARGE), False),
    ]
    content = path.read_bytes()
    assert all(content[one.offset : one.offset + one.size] == LARGE for one in found)
    assert digest_of(path, found[1]) == found[1].digest


def test_a_name_may_lie(tmp_path: Path) -> None:
    path = made(tmp_path / "a.tar", f"{NAME}.tar", content=LARGE[::-1])
    (found,) = blobs(path)
    assert digest_of(path, found) != found.digest


def test_small_members_and_what_is_no_plain_tar_are_sent_as_they_are(tmp_path: Path) -> None:
    assert blobs(made(tmp_path / "a.tar", f"blobs/sha256/{NAME}", content=b"small")) == []
    packed = tmp_path / "a.tar.gz"
    with tarfile.open(packed, "w:gz") as tar:
        add(tar, f"blobs/sha256/{NAME}", LARGE)
    assert blobs(packed) == []
    cut = tmp_path / "cut.tar"
    cut.write_bytes(made(tmp_path / "b.tar", f"blobs/sha256/{NAME}").read_bytes()[:-200_000])
    assert blobs(cut) == []
    assert blobs(tmp_path) == []


def test_what_is_left_out_is_left_out_and_nothing_else() -> None:
    content = bytes(range(200))
    known = [
        pb.AnnouncedBlob(offset=150, digest="b", skipped=50),
        pb.AnnouncedBlob(offset=10, digest="a", skipped=30),
        pb.AnnouncedBlob(offset=60, digest="c"),
    ]
    assert b"".join(without(io.BytesIO(content), known)) == content[:10] + content[40:150]
    assert b"".join(without(io.BytesIO(content), ())) == content


def test_how_many_images_an_archive_holds_is_told_where_it_is_a_plain_one(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    for content, count in (
        (oci_archive(Sample()), 1),
        (oci_archive(Sample(), Sample(seed=2)), 2),
        (oci_archive(Sample(), Sample(name="docker.io/library/other:1")), 1),
        (tree({"./manifest.json": json.dumps([{"Config": "a"}, {"Config": "b"}, {"Config": "a"}]).encode()}), 2),
        (tree({"manifest.json": b"{"}), 0),
        (tree({"manifest.json": b'[{"RepoTags": null}]'}), 0),
        (tree({"a": b""}), 0),
        (b"no tar", 0),
    ):
        path.write_bytes(content)
        assert images_in(path) == count
    assert images_in(tmp_path / "none") == 0
