"""What an image has at a place, by its layers, and by nothing outside of them."""

import os
import resource
import stat
from pathlib import Path

import pytest

from sandbox.lookup import directory_at


@pytest.fixture
def layers(tmp_path: Path) -> tuple[Path, Path]:
    top, bottom = tmp_path / "top", tmp_path / "bottom"
    for layer in (top, bottom):
        layer.mkdir()
    return top, bottom


def made(layer: Path, place: str, mode: int) -> None:
    (layer / place).mkdir(parents=True)
    (layer / place).chmod(mode)


def mode_at(layers: tuple[Path, ...], place: str) -> int | None:
    found = directory_at(layers, place)
    return None if found is None else stat.S_IMODE(found.st_mode)


def test_the_topmost_layer_that_has_a_directory_says_what_it_is(layers: tuple[Path, Path]) -> None:
    top, bottom = layers
    made(bottom, "var/lib/data", 0o700)
    made(bottom, "var/lib/data/deep", 0o711)
    assert mode_at(layers, "/var/lib/data") == 0o700
    made(top, "var/lib/data", 0o750)
    assert mode_at(layers, "/var/lib/./data/") == 0o750
    assert mode_at(layers, "/var/lib/data/deep") == 0o711
    assert mode_at(layers, "/var/lib/other") is None and mode_at((), "/var") is None
    assert mode_at(layers, f"/{'x' * 300}") is None


def test_what_is_no_directory_hides_what_is_below_it(layers: tuple[Path, Path]) -> None:
    top, bottom = layers
    made(bottom, "data/deep", 0o700)
    (top / "data").write_text("")
    assert mode_at(layers, "/data") is None and mode_at(layers, "/data/deep") is None


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes devices and attributes that are trusted")
def test_what_a_layer_removed_or_made_anew_is_not_that_of_the_one_below(layers: tuple[Path, Path]) -> None:
    top, bottom = layers
    for name in ("removed/deep", "anew/deep"):
        made(bottom, name, 0o700)
    os.mknod(top / "removed", stat.S_IFCHR, os.makedev(0, 0))
    assert mode_at(layers, "/removed") is None and mode_at(layers, "/removed/deep") is None
    made(top, "anew", 0o711)
    assert mode_at(layers, "/anew/deep") == 0o700
    os.setxattr(top / "anew", "trusted.overlay.opaque", b"y")
    assert mode_at(layers, "/anew") == 0o711 and mode_at(layers, "/anew/deep") is None


def test_links_lead_where_they_would_inside(layers: tuple[Path, Path]) -> None:
    top, bottom = layers
    made(bottom, "run/db", 0o700)
    made(bottom, "var", 0o755)
    (bottom / "var/run").symlink_to("/run")
    (bottom / "var/back").symlink_to("../../../run/db")
    (top / "short").symlink_to("var/run")
    assert mode_at(layers, "/var/run/db") == 0o700
    assert mode_at(layers, "/var/back") == 0o700
    assert mode_at(layers, "/short/db") == 0o700


def test_no_link_leads_out_of_the_image_and_none_leads_on_for_ever(layers: tuple[Path, Path], tmp_path: Path) -> None:
    made(tmp_path / "host", "secret", 0o700)
    (layers[0] / "out").symlink_to(tmp_path / "host")
    (layers[0] / "up").symlink_to("../host")
    (layers[0] / "round").symlink_to("round")
    (layers[0] / "far").symlink_to("a/" * 1_500)
    made(layers[1], "a", 0o755)
    (layers[1] / "a/a").symlink_to("../a")
    for place in ("/out/secret", "/up/secret", "/../host/secret", "/round", "/far"):
        assert mode_at(layers, place) is None, place


def test_a_deep_place_in_many_layers_takes_no_more_than_two_of_each(tmp_path: Path) -> None:
    layers = tuple(tmp_path / str(number) for number in range(40))
    for layer in layers:
        made(layer, "/".join("abcdefghijkl"), 0o711)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 3 * len(layers), hard))
    try:
        assert mode_at(layers, "a/b/c/../c/d/e/f/g/h/i/j/k/l") == 0o711
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with pytest.raises(OSError, match="too many names"):
        directory_at(layers, "a/../" * 200)


def test_nothing_stays_open(layers: tuple[Path, Path]) -> None:
    made(layers[1], "a/b", 0o755)
    before = os.listdir("/proc/self/fd")
    assert directory_at(layers, "/a/b") and not directory_at(layers, "/a/c")
    assert os.listdir("/proc/self/fd") == before
