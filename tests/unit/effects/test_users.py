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


def test_no_symbolic_link_leads_out_of_the_image(image: tuple[Path, ...], tmp_path: Path) -> None:
    outside = tmp_path / "host"
    outside.mkdir()
    (outside / "passwd").write_text("hosts:x:1:2::/:/bin/sh\n")
    (image[0] / "etc" / "passwd").symlink_to(outside / "passwd")
    with pytest.raises(BadUser):
        resolve("hosts", image)
    (image[0] / "etc" / "passwd").unlink()
    (image[0] / "etc").rmdir()
    (image[0] / "etc").symlink_to(outside)
    with pytest.raises(BadUser):
        resolve("hosts", image)
    assert resolve("web", image).uid == 101


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes a device")
def test_a_device_in_a_files_place_is_none_and_the_layer_below_has_the_word(image: tuple[Path, ...]) -> None:
    null = os.stat(os.devnull).st_rdev
    os.mknod(image[0] / "etc" / "passwd", stat.S_IFCHR | 0o644, null)
    assert resolve("web", image).uid == 101


def test_what_is_no_file_is_not_even_opened(image: tuple[Path, ...]) -> None:
    with watched_pipe(image[0] / "etc" / "passwd") as was_opened:
        assert resolve("web", image).uid == 101
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
