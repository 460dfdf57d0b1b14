"""Archives: which images their members make up, whoever wrote them."""

import asyncio
import json

import pytest

from effects.errors import ImageCorrupt, ImageUnreadable, WrongArchitecture
from effects.images.archive import Archive, ArchivedImage, Kept, Link
from effects.images.oci import (
    Architecture,
    Descriptor,
    Manifest,
    Platform,
    choose,
    digest_of,
    media_type_of,
    parse,
    parse_config,
    parse_facts,
)
from effects.runs.process import ImageConfig
from tests.support.images import CONFIG, INDEX, MANIFEST

AMD64 = Architecture("amd64")
LAYER = b"a layer that is large enough to be in the store"
GZIP_LAYER = b"\x1f\x8b and the rest"


def kept(content: bytes) -> Kept:
    return Kept(digest_of(content), len(content), content[:4], content)


def stored(content: bytes) -> Kept:
    return Kept(digest_of(content), len(content), content[:4])


def images(members: dict[str, Kept | Link], name: str = "") -> tuple[ArchivedImage, ...]:
    async def read(digest: str) -> bytes:
        raise AssertionError("everything small is here")

    return asyncio.run(Archive(members, read, AMD64, name).images())


def described(media_type: str, content: bytes, **more: object) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content), **more}


def config(architecture: str = "amd64") -> bytes:
    return json.dumps({"architecture": architecture, "os": "linux", "rootfs": {"diff_ids": ["sha256:1"]}}).encode()


def blob(content: bytes) -> str:
    return "blobs/" + digest_of(content).replace(":", "/")


def members_content(members: dict[str, Kept | Link], name: str) -> bytes:
    found = members[name]
    assert isinstance(found, Kept) and found.content is not None
    return found.content


def oci(index: bool = False, name: str = "localhost/web:1", architecture: str = "amd64") -> dict[str, Kept | Link]:
    settings = config(architecture)
    layers = [described("application/vnd.oci.image.layer.v1.tar", LAYER)]
    manifest = json.dumps({"config": described(CONFIG, settings), "layers": layers}).encode()
    members: dict[str, Kept | Link] = {
        "oci-layout": kept(b"{}"),
        blob(settings): kept(settings),
        blob(LAYER): stored(LAYER),
        blob(manifest): kept(manifest),
    }
    top = described(MANIFEST, manifest, platform={"os": "linux", "architecture": "amd64"})
    if index:
        other = described(MANIFEST, b"another", platform={"os": "linux", "architecture": "arm64"})
        content = json.dumps({"manifests": [other, top]}).encode()
        members[blob(content)] = kept(content)
        top = described(INDEX, content)
    top["annotations"] = {"org.opencontainers.image.ref.name": name} if name else {}
    members["index.json"] = kept(json.dumps({"manifests": [top]}).encode())
    return members


def saved(*layers: str, tags: list[str] | None = None) -> dict[str, Kept | Link]:
    entry = {"Config": "c.json", "RepoTags": tags, "Layers": layers}
    return {"manifest.json": kept(json.dumps([entry]).encode()), "c.json": kept(config())}


def test_an_oci_archive_names_its_image_and_ties_its_blobs_together() -> None:
    (image,) = images(oci())
    assert image.refs == ("localhost/web:1",) and image.target.digest == image.platform_digest
    assert image.documents[-1].digest == image.platform_digest
    assert set(image.documents[-1].labels.values()) == {digest_of(config()), digest_of(LAYER)}
    assert image.labels == {digest_of(LAYER): {}}
    assert image.size_bytes == len(LAYER) + sum(len(document.content) for document in image.documents)


def test_of_an_index_the_manifest_for_this_machine_is_taken() -> None:
    (image,) = images(oci(index=True))
    assert image.target.media_type == INDEX and image.target.digest != image.platform_digest
    assert image.documents[-1].labels == {"containerd.io/gc.ref.content.m.0": image.platform_digest}


def test_a_tag_alone_names_nothing_and_a_given_name_wins() -> None:
    with pytest.raises(ImageUnreadable, match="--name"):
        images(oci(name="latest"))
    assert images(oci(name="latest"), "web:2")[0].refs == ("docker.io/library/web:2",)
    with pytest.raises(ImageUnreadable, match="no image reference"):
        images(oci(name="with space/x:1"))


def test_several_images_have_no_one_name_and_one_with_two_tags_has() -> None:
    top = json.loads(members_content(oci(), "index.json"))["manifests"][0]
    twice = {**oci(), "index.json": kept(json.dumps({"manifests": [top, top]}).encode())}
    assert [image.refs for image in images(twice, "web:2")] == [("docker.io/library/web:2",)] * 2
    other = {**top, "digest": "sha256:" + "9" * 64}
    with pytest.raises(ImageUnreadable, match="holds 2 images, and `--name` is one name"):
        images({**oci(), "index.json": kept(json.dumps({"manifests": [top, other]}).encode())}, "web:2")
    entries = [{"Config": name, "RepoTags": [f"{name}:1"], "Layers": []} for name in ("a", "b")]
    listed = kept(json.dumps(entries).encode())
    members: dict[str, Kept | Link] = {"manifest.json": listed, "a": kept(config()), "b": kept(config() + b" ")}
    with pytest.raises(ImageUnreadable, match="holds 2 images"):
        images(members, "web:2")
    assert [image.refs for image in images(members)] == [("docker.io/library/a:1",), ("docker.io/library/b:1",)]


def test_an_image_for_another_machine_is_refused_by_name() -> None:
    with pytest.raises(WrongArchitecture, match="linux/riscv64"):
        images(oci(architecture="riscv64"))


def test_a_blob_that_is_missing_or_another_is_named() -> None:
    members = oci()
    layer = members.pop(blob(LAYER))
    with pytest.raises(ImageUnreadable, match="lacks a blob"):
        images(members)
    assert isinstance(layer, Kept)
    with pytest.raises(ImageUnreadable, match="another size"):
        images(members | {blob(LAYER): Kept(layer.digest, 1, b"")})
    with pytest.raises(ImageCorrupt):
        images(members | {blob(LAYER): Kept("sha256:0", layer.size, b"")})


def test_a_saved_archive_gets_the_same_manifest_every_time() -> None:
    members = saved("1/layer.tar", "2/layer.tar", tags=["web:1", "web:latest"]) | {
        "1/layer.tar": stored(LAYER),
        "2/layer.tar": kept(GZIP_LAYER),
    }
    (image,) = images(members)
    assert image == images(members)[0]
    assert image.refs == ("docker.io/library/web:1", "docker.io/library/web:latest")
    manifest = json.loads(image.documents[-1].content)
    types = [layer["mediaType"].rpartition(".")[2] for layer in manifest["layers"]]
    assert types == ["tar", "tar+gzip"]


def test_a_repeated_layer_may_be_a_link_to_the_first() -> None:
    members = saved("1/layer.tar", "2/layer.tar", tags=["web:1"]) | {"1/layer.tar": stored(LAYER)}
    (image,) = images(members | {"2/layer.tar": Link("1/layer.tar")})
    assert image.size_bytes == len(LAYER) + sum(len(document.content) for document in image.documents)
    with pytest.raises(ImageUnreadable, match="lacks"):
        images(members | {"2/layer.tar": Link("2/layer.tar")})


def test_an_archive_of_something_else_says_what_it_lacks() -> None:
    with pytest.raises(ImageUnreadable, match=r"neither an index\.json nor a manifest.json"):
        images({"etc/passwd": kept(b"root")})
    with pytest.raises(ImageUnreadable, match="holds no image"):
        images({"manifest.json": kept(b"[]")})
    with pytest.raises(ImageUnreadable, match="cannot be read"):
        images({"manifest.json": kept(b"{")})


def test_null_is_what_is_left_out() -> None:
    """As Go writes a list or a text that it has none of: here an image without a layer, which nobody says the age of."""
    settings = (
        b'{"architecture": "amd64", "os": "linux", "created": null, "config": null, "rootfs": {"diff_ids": null}}'
    )
    manifest = json.dumps({"mediaType": None, "config": described(CONFIG, settings), "layers": None}).encode()
    top = described(MANIFEST, manifest, annotations=None, platform=None)
    index = json.dumps({"mediaType": None, "manifests": [top]}).encode()
    members = {"oci-layout": kept(b"{}"), "index.json": kept(index), blob(settings): kept(settings)}
    (image,) = images({**members, blob(manifest): kept(manifest)}, name="bare:1")
    assert image.size_bytes == len(settings) + len(manifest)
    assert parse(manifest, Manifest, "manifest").layers == ()
    assert parse_config(settings) == (ImageConfig(), ())
    assert parse_facts(settings).created == ""
    assert (media_type_of(manifest), media_type_of(index)) == (MANIFEST, INDEX)


def test_a_platform_that_is_named_goes_before_one_that_is_not() -> None:
    bare, fitting = Descriptor(MANIFEST, "1", 1), Descriptor(MANIFEST, "2", 1, Platform("amd64", "linux"))
    attestation = Descriptor(MANIFEST, "3", 1, Platform("unknown", "unknown"))
    assert choose((attestation, bare, fitting), AMD64) == fitting
    assert choose((attestation, bare), AMD64) == bare
    with pytest.raises(WrongArchitecture, match="only for linux/amd64"):
        choose((attestation, fitting), Architecture("arm64"))
