"""From `user[:group]` to numbers, by the image's own files, and never by the host's."""

import os
import stat
from pathlib import Path

import pytest

from effects.errors import BadUser
from effects.runs.process import Identity
from effects.runs.users import layer_directories, resolve
from tests.support.watched import watched_pipe

PASSWD = """root:x:0:0:root:/root:/bin/sh
# a comment

web:x:101:102::/:/bin/sh
123:x:7:8::/:/bin/sh
broken:x:no:1::/:/bin/sh
short:x
huge:x:4294967296:1::/:/bin/sh
"""
PASSWD += f"endless:x:{'9' * 5_000}:1::/:/bin/sh\n"
GROUP = """root:x:0:
web:x:102:
watchers:x:200:root,web
odd:x:none:web
crowd:x:300:other
short
beyond:x:4294967296:web
"""


@pytest.fixture
def image(tmp_path: Path) -> tuple[Path, ...]:
    top, bottom = tmp_path / "top", tmp_path / "bottom"
    for layer in (top, bottom):
        (layer / "etc").mkdir(parents=True)
    (bottom / "etc" / "passwd").write_text(PASSWD)
    (bottom / "etc" / "group").write_text(GROUP)
    return top, bottom


@pytest.mark.parametrize(
    ("user", "identity"),
    [
        ("", Identity(0, 0)),
        ("root", Identity(0, 0, (200,))),
        ("web", Identity(101, 102, (200,))),
        ("101", Identity(101, 102, (200,))),
        ("web:watchers", Identity(101, 200)),
        ("web:777", Identity(101, 777)),
        ("555", Identity(555, 0)),
        ("555:watchers", Identity(555, 200)),
        ("123", Identity(7, 8)),
    ],
)
def test_names_and_numbers_lead_to_numbers(image: tuple[Path, ...], user: str, identity: Identity) -> None:
    assert resolve(user, image) == identity


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ("nobody", "no user nobody"),
        ("web:nogroup", "no group nogroup"),
        ("broken", "does not lead to a valid"),
        ("huge", "does not lead to a valid"),
        ("endless", "does not lead to a valid"),
        ("4294967296", "does not lead to a valid"),
        ("web:odd", "does not lead to a valid"),
        ("web:short", "does not lead to a valid"),
        ("web:beyond", "does not lead to a valid"),
        ("-1", "no user -1"),
        ("short", "no user short"),
    ],
)
def test_what_leads_nowhere_says_what_to_do(image: tuple[Path, ...], user: str, words: str) -> None:
    with pytest.raises(BadUser, match=words):
        resolve(user, image)


def test_an_image_without_files_knows_numbers_only(tmp_path: Path) -> None:
    assert resolve("5:6", (tmp_path,)) == Identity(5, 6)
    with pytest.raises(BadUser):
        resolve("web", (tmp_path,))


def test_the_topmost_layers_file_is_the_one(image: tuple[Path, ...]) -> None:
    (image[0] / "etc" / "passwd").write_text("web:x:1:2::/:/bin/sh\n")
    assert resolve("web", image) == Identity(1, 2, (200,))


def test_a_file_may_be_a_link_to_where_the_image_has_it(image: tuple[Path, ...]) -> None:
    """As nix has it."""
    store = image[1] / "nix" / "store" / "fake-nss" / "etc"
    store.mkdir(parents=True)
    for name in ("passwd", "group"):
        (image[1] / "etc" / name).rename(store / name)
        (image[0] / "etc" / name).symlink_to(f"/nix/store/fake-nss/etc/{name}")
    assert resolve("web", image) == Identity(101, 102, (200,))
    assert resolve("101", image) == Identity(101, 102, (200,))


@pytest.mark.parametrize(
    "target", ["../srv/passwd", "/srv/./passwd", "../../../../srv/passwd", "/etc/one/../../srv/passwd"]
)
def test_a_link_is_walked_from_where_it_is_or_from_the_images_root(image: tuple[Path, ...], target: str) -> None:
    (image[0] / "srv").mkdir()
    (image[1] / "etc" / "one").mkdir()
    (image[0] / "srv" / "passwd").write_text("web:x:1:2::/:/bin/sh\n")
    (image[0] / "etc" / "passwd").symlink_to(target)
    assert resolve("web", image).uid == 1


def test_a_directory_may_be_a_link_and_is_the_same_in_every_layer(image: tuple[Path, ...]) -> None:
    (image[1] / "etc").rename(image[1] / "config")
    (image[0] / "etc").rmdir()
    (image[0] / "etc").symlink_to("config")
    assert resolve("web", image).uid == 101
    (image[0] / "config").mkdir()
    (image[0] / "config" / "passwd").write_text("web:x:1:2::/:/bin/sh\n")
    assert resolve("web", image) == Identity(1, 2, (200,))


def test_no_symbolic_link_leads_out_of_the_image(image: tuple[Path, ...], tmp_path: Path) -> None:
    outside = tmp_path / "host"
    outside.mkdir()
    (outside / "passwd").write_text("hosts:x:1:2::/:/bin/sh\n")
    for target in (outside / "passwd", "../../host/passwd", "/../../host/passwd"):
        (image[0] / "etc" / "passwd").symlink_to(target)
        with pytest.raises(BadUser):
            resolve("hosts", image)
        (image[0] / "etc" / "passwd").unlink()
    assert resolve("web", image).uid == 101
    (image[0] / "etc").rmdir()
    (image[0] / "etc").symlink_to(outside)
    with pytest.raises(BadUser):
        resolve("hosts", image)
    (image[0] / "etc").unlink()
    assert resolve("web", image).uid == 101


@pytest.mark.parametrize("target", ["passwd", "/etc/passwd", "nothing", "/etc", "/bin/" * 600 + "passwd", "x" * 300])
def test_a_link_that_leads_nowhere_is_no_file(image: tuple[Path, ...], target: str) -> None:
    """It hides what is below it all the same, as it does in the container."""
    (image[1] / "bin").mkdir()
    (image[1] / "bin" / "bin").symlink_to(".")
    (image[0] / "etc" / "passwd").symlink_to(target)
    before = os.listdir("/proc/self/fd")
    assert resolve("7", image) == Identity(7, 0)
    assert len(os.listdir("/proc/self/fd")) == len(before), "and nothing stays open"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes a whiteout")
def test_a_file_that_a_layer_deletes_is_not_read_from_the_one_below(image: tuple[Path, ...]) -> None:
    os.mknod(image[0] / "etc" / "passwd", stat.S_IFCHR, 0)
    with pytest.raises(BadUser):
        resolve("web", image)
    assert resolve("101:watchers", image) == Identity(101, 200)
    (image[0] / "etc" / "passwd").unlink()
    (image[0] / "etc").rmdir()
    os.mknod(image[0] / "etc", stat.S_IFCHR, 0)
    with pytest.raises(BadUser):
        resolve("7:watchers", image)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it empties a directory as overlayfs does")
def test_a_directory_that_a_layer_makes_anew_has_nothing_of_the_one_below(
    tmp_path: Path, image: tuple[Path, ...]
) -> None:
    try:
        os.setxattr(image[0] / "etc", "trusted.overlay.opaque", b"y")
    except OSError as error:
        pytest.skip(f"this machine lacks trusted attributes here: {error.strerror}")
    with pytest.raises(BadUser):
        resolve("web", image)
    (image[0] / "etc" / "passwd").write_text("web:x:1:2::/:/bin/sh\n")
    assert resolve("web", image) == Identity(1, 2), "and no groups"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes a device")
def test_a_device_in_a_files_place_is_no_file(image: tuple[Path, ...]) -> None:
    null = os.stat(os.devnull).st_rdev
    os.mknod(image[0] / "etc" / "passwd", stat.S_IFCHR | 0o644, null)
    assert resolve("101", image) == Identity(101, 0)


def test_what_is_no_file_is_not_even_opened(image: tuple[Path, ...]) -> None:
    with watched_pipe(image[0] / "etc" / "passwd") as was_opened:
        assert resolve("101", image) == Identity(101, 0)
        assert not was_opened()


def test_a_sparse_file_without_end_is_read_to_a_bound(image: tuple[Path, ...]) -> None:
    with (image[0] / "etc" / "passwd").open("wb") as file:
        file.write(b"web:x:1:2::/:/bin/sh\n")
        file.truncate(1 << 40)
    assert resolve("web", image).uid == 1


def test_the_directories_are_those_of_the_mount_the_topmost_first() -> None:
    overlay = ("overlay", "overlay", ("index=off", "workdir=/w", "upperdir=/u", "lowerdir=/l2:/l1"))
    view = ("overlay", "overlay", ("lowerdir=/l2:/l1",))
    assert layer_directories([overlay]) == (Path("/u"), Path("/l2"), Path("/l1"))
    assert layer_directories([view]) == (Path("/l2"), Path("/l1"))
    assert layer_directories([("bind", "/b", ("rbind",))]) == (Path("/b"),)
    assert layer_directories([]) == ()
