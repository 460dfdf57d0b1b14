"""Debian's kernel, unpacked, and the modules that are wanted of it, in the order in which they need one another.

Source: Documentation/x86/boot.rst of the kernel (the header of a bzImage), and elf(5).
"""

import re
import struct
import subprocess
from pathlib import Path

_SETUP_SECTORS, _PAYLOAD = 0x1F1, 0x248
_SECTOR = 512
_LZ4 = b"\x02\x21\x4c\x18"
_SIZE_BYTES = 4
_SECTIONS, _SECTION_COUNT, _PROGRAMS, _PROGRAM_COUNT = 0x28, 0x3C, 0x20, 0x38
_PROGRAM_BYTES = 56
_SIGNED = b"~Module signature appended~\n"
_SIGNATURE_INFO = struct.Struct(">8xI")
_DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")


def unpacked(image: bytes) -> bytes:
    """The kernel in a bzImage, as far as it is loaded: names and relocations behind that serve nobody here.
    Raises ValueError for one that is packed otherwise."""
    offset, length = struct.unpack_from("<II", image, _PAYLOAD)
    start = (image[_SETUP_SECTORS] + 1) * _SECTOR + offset
    payload = image[start : start + length]
    if not payload.startswith(_LZ4):
        raise ValueError("the kernel is not packed by lz4")
    done = subprocess.run(["lz4", "-dc"], input=payload[:-_SIZE_BYTES], capture_output=True, check=True)
    return loaded(done.stdout)


def loaded(elf: bytes) -> bytes:
    """An ELF file up to the end of what its program headers name."""
    (programs,) = struct.unpack_from("<Q", elf, _PROGRAMS)
    (count,) = struct.unpack_from("<H", elf, _PROGRAM_COUNT)
    ends = []
    for number in range(count):
        _, _, offset, _, _, size = struct.unpack_from("<IIQQQQ", elf, programs + number * _PROGRAM_BYTES)
        ends.append(offset + size)
    cut = bytearray(elf[: max(ends)])
    struct.pack_into("<Q", cut, _SECTIONS, 0)
    struct.pack_into("<HH", cut, _SECTION_COUNT, 0, 0)
    return bytes(cut)


def modules(directory: Path, wanted: tuple[str, ...], before: tuple[str, ...] = ()) -> list[tuple[str, bytes]]:
    """Those that are wanted and those that they need, each behind what it needs, by name; without those of `before`."""
    files = {_name(path.stem): path for path in sorted(directory.rglob("*.ko"))}
    found: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name in found or name in before or name not in files:
            return  # what is no file is built in
        content = files[name].read_bytes()
        needed = _DEPENDS.search(content)
        for one in needed[1].decode().split(",") if needed else ():
            add(_name(one))
        found[name] = unsigned(content)

    for name in wanted:
        if _name(name) not in files:
            raise ValueError(f"the kernel's package has no module {name}")
        add(_name(name))
    return list(found.items())


def unsigned(module: bytes) -> bytes:
    """A module without its signature, which takes longer to verify than all else of loading it. What the machine boots
    is the daemon's to choose, and not the guest's to judge. Source: `struct module_signature` of the kernel."""
    if not module.endswith(_SIGNED):
        return module
    info = len(module) - len(_SIGNED) - _SIGNATURE_INFO.size
    (length,) = _SIGNATURE_INFO.unpack_from(module, info)
    return module[: info - length]


def _name(text: str) -> str:
    return text.replace("-", "_")
