"""The parts that the guest's image is made of."""

import struct
import subprocess
from pathlib import Path

from guest.image.archive import packed
from guest.image.kernel import loaded, modules, unsigned
from guest.image.python import Sources
from guest.image.tree import PROGRAM, Tree


def _tree() -> Tree:
    tree = Tree()
    tree.file("usr/bin/run", b"#!/bin/true\n", PROGRAM)
    tree.link("bin", "usr/bin")
    tree.directory("proc")
    return tree


def test_an_archive_is_what_busybox_unpacks(tmp_path: Path) -> None:
    subprocess.run(["busybox", "cpio", "-i"], input=packed(_tree()), cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "bin/run").read_bytes() == b"#!/bin/true\n"
    assert (tmp_path / "usr/bin/run").stat().st_mode & 0o777 == PROGRAM
    assert (tmp_path / "proc").is_dir()


def test_an_archive_has_nothing_of_when_and_where_it_was_made() -> None:
    one, other = _tree(), Tree()
    for path, entry in reversed(list(one)):
        other._put(path, entry)
    assert packed(one) == packed(other)


def test_a_kernel_ends_with_what_is_loaded_of_it() -> None:
    header = bytearray(64)
    struct.pack_into("<QQ", header, 0x20, 64, 300)
    struct.pack_into("<HHH", header, 0x36, 56, 1, 64)
    program = struct.pack("<IIQQQQQQ", 1, 5, 200, 0, 0, 50, 50, 1)
    cut = loaded(bytes(header) + program + bytes(400))
    assert len(cut) == 250
    assert struct.unpack_from("<Q", cut, 0x28) == (0,), "no section headers"


def test_modules_come_behind_what_they_need(tmp_path: Path) -> None:
    for name, needs in (("a-net", b"b_ring,c"), ("b_ring", b"c"), ("c", b""), ("other", b"")):
        (tmp_path / f"{name}.ko").write_bytes(b"\0depends=" + needs + b"\0")
    assert [name for name, _ in modules(tmp_path, ("a_net",))] == ["c", "b_ring", "a_net"]
    assert [name for name, _ in modules(tmp_path, ("a_net",), before=("c",))] == ["b_ring", "a_net"]


def test_a_signature_goes_and_the_module_stays() -> None:
    signed = b"\x7fELF module" + b"s" * 9 + struct.pack(">8xI", 9) + b"~Module signature appended~\n"
    assert unsigned(signed) == b"\x7fELF module"
    assert unsigned(b"\x7fELF module") == b"\x7fELF module"


def test_compiled_modules_are_the_same_each_time(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text("NAMES = {'a', 'b', 'c'}\ndef found(x):\n    return x in {'d', 'e', 'f'}\n")
    trees = [Tree(), Tree()]
    for number, tree in enumerate(trees):
        sources = Sources()
        sources.add("lib/module", source)
        sources.compile(tree, tmp_path / f"scratch{number}")
    assert dict(trees[0]) == dict(trees[1])
    assert dict(trees[0])["lib/module.pyc"].data[4:8] == b"\1\0\0\0", "by hash, and never compared with a source"
