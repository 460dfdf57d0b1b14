"""A bundle is taken as a whole or not at all, and whoever is refused hears why."""

import asyncio
import hashlib
import tarfile
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from effects.slots.bundle import BundleStream, Head
from effects.slots.manifest import MANIFEST_BYTES, BadBundle
from effects.slots.signing import verify
from tests.support.bundles import BOOT, KEY, KEYS, KID, ROOT, Bundle, arriving, manifest

NOW_S = 10_000.0


async def read(data: bytes, total: int = 0, sha256: str = "", size: int = 700) -> tuple[Head, list[bytes]]:
    stream = BundleStream(arriving(data, size), total, sha256)
    head = await stream.head()
    verify(head.signed, head.signature, KEYS if head.signature is not None else {}, head.manifest.expires, NOW_S)
    found = []
    for member in head.manifest.members:
        found.append(b"".join([piece async for piece in stream.member(member)]))
    await stream.end()
    return head, found


@pytest.mark.parametrize("size", [1, 511, 512, 513, 1 << 20])
def test_a_good_bundle_is_read_however_it_is_cut_into_pieces(size: int) -> None:
    data = Bundle().signed().data() if size > 1 else Bundle(boot=b"b", root=b"r").data()
    head, members = asyncio.run(read(data, len(data), hashlib.sha256(data).hexdigest(), size))
    assert members == ([BOOT, ROOT] if size > 1 else [b"b", b"r"])
    assert (head.manifest.version, head.signature is not None) == ("0.0.2", size > 1)


def typed(name: str, kind: bytes, target: str = "") -> Bundle:
    def alter(info: tarfile.TarInfo) -> None:
        info.type, info.linkname = kind, target
        if kind != tarfile.REGTYPE:
            info.size = 0

    made = Bundle()
    made.alter[name] = alter
    return made


def behind(*members: tuple[str, bytes]) -> Bundle:
    made = Bundle()
    made.members += members
    return made


def before_the_root(name: str, data: bytes = b"x") -> Bundle:
    made = Bundle()
    made.members.insert(3, (name, data))
    return made


def without(name: str) -> Bundle:
    made = Bundle()
    made.members = [one for one in made.members if one[0] != name]
    return made


def older() -> Bundle:
    made = Bundle()
    made.members = [("VERSION", b"1.4\n"), ("vmlinuz", b"k"), ("initramfs", b"i"), ("rootfs.sqsh", b"r")]
    return made


def swapped() -> Bundle:
    made = Bundle()
    made.members[2:] = made.members[:1:-1]
    return made


def packed(kind: int, name: str = "n" * 120) -> Bundle:
    made = before_the_root(name)
    made.format = kind
    return made


def endless() -> Bundle:
    made = Bundle()
    made.tail = False
    return made


def resigned(alter: Callable[[bytes], bytes]) -> Bundle:
    made = Bundle().signed()
    return made.put("manifest.sig", alter(made.members[2][1]))


def at(data: bytes, place: int, more: bytes) -> bytes:
    return data[:place] + more + data[place + len(more) :]


GOOD = Bundle().data()
BAD: dict[str, tuple[Bundle | bytes, str]] = {
    "nothing at all": (b"", "CUT"),
    "no tar": (b"\x7fELF" + bytes(2_000), "NO_TAR"),
    "gzip": (b"\x1f\x8b\x08" + bytes(2_000), "NO_TAR"),
    "a header that was altered": (at(GOOD, 130, b"7"), "NO_TAR"),
    "an old tar": (at(GOOD, 257, b"\0" * 8), "NO_TAR"),
    "another first member": (without("VERSION"), "OTHER_MEMBER"),
    "another system's": (older(), "OLDER_FORM"),
    "a version without end": (Bundle().put("VERSION", b"0" * 65), "TOO_LARGE"),
    "two versions": (Bundle().put("VERSION", b"0.0.3\n"), "OTHER_VERSION"),
    "no manifest": (without("manifest.json"), "OTHER_MEMBER"),
    "an empty manifest": (Bundle().put("manifest.json", b""), "TOO_LARGE"),
    "an endless manifest": (Bundle().put("manifest.json", b" " * (MANIFEST_BYTES + 1)), "TOO_LARGE"),
    "a manifest that is no JSON": (Bundle().put("manifest.json", b"{"), "BAD_MANIFEST"),
    "a manifest that is nested without end": (Bundle().put("manifest.json", b"[" * 100_000), "BAD_MANIFEST"),
    "a manifest that is a list": (Bundle().put("manifest.json", b"[]"), "OTHER_FORMAT"),
    "the first format": (Bundle().reword(format=1), "OTHER_FORMAT"),
    "a later format": (Bundle().reword(format=3), "OTHER_FORMAT"),
    "a word that is not known": (Bundle().reword(hook="rm -rf /"), "BAD_MANIFEST"),
    "a word of another type": (Bundle().reword(built="today"), "BAD_MANIFEST"),
    "a version that is none": (Bundle(version="next"), "BAD_MANIFEST"),
    "a commit that is none": (Bundle(commit="; reboot"), "BAD_MANIFEST"),
    "a negative time": (Bundle(built=-1), "BAD_MANIFEST"),
    "another machine's": (Bundle(architecture="aarch64"), "OTHER_ARCHITECTURE"),
    "members that are others": (Bundle(members=manifest().members[:1]), "BAD_MANIFEST"),
    "members twice in the manifest": (Bundle(members=manifest().members[:1] * 2), "BAD_MANIFEST"),
    "an image without content": (Bundle(root=b""), "BAD_MANIFEST"),
    "a hash that is none": (
        Bundle(members=(manifest().members[0], replace(manifest().members[1], sha256="0"))),
        "BAD_MANIFEST",
    ),
    "no boot image": (without("boot.img"), "OTHER_MEMBER"),
    "no root image": (without("root.img"), "MISSING_MEMBER"),
    "members in another order": (swapped(), "OTHER_MEMBER"),
    "a member twice": (before_the_root("boot.img", BOOT), "OTHER_MEMBER"),
    "an extra member": (before_the_root("hook.sh"), "OTHER_MEMBER"),
    "an extra member at the end": (behind(("hook.sh", b"x")), "EXTRA_MEMBER"),
    "the manifest once more at the end": (behind(("manifest.json", b"{}")), "EXTRA_MEMBER"),
    "a path that leads out": (before_the_root("../../etc/passwd"), "BAD_NAME"),
    "an absolute path": (before_the_root("/etc/passwd"), "BAD_NAME"),
    "a directory in front": (before_the_root("x/" * 45 + "root.img" + "y" * 60), "BAD_NAME"),
    "a directory": (typed("root.img", tarfile.DIRTYPE), "BAD_MEMBER"),
    "a symbolic link": (typed("root.img", tarfile.SYMTYPE, "/dev/sda"), "BAD_MEMBER"),
    "a hard link": (typed("root.img", tarfile.LNKTYPE, "boot.img"), "BAD_MEMBER"),
    "a device": (typed("root.img", tarfile.BLKTYPE), "BAD_MEMBER"),
    "a pipe": (typed("root.img", tarfile.FIFOTYPE), "BAD_MEMBER"),
    "a pax header": (packed(tarfile.PAX_FORMAT), "BAD_MEMBER"),
    "a long name in GNU's form": (packed(tarfile.GNU_FORMAT), "NO_TAR"),
    "a size that is not the manifest's": (Bundle().put("root.img", ROOT + b"x"), "OTHER_SIZE"),
    "something in the filling": (at(GOOD, 515 + 6, b"x"), "EXTRA_BYTES"),
    "no end": (endless(), "CUT"),
    "an end in a header": (GOOD[:700], "CUT"),
    "an end in an image": (GOOD[: GOOD.index(b"rootroot") + 5_000], "CUT"),
    "an end in the filling": (GOOD[: 512 + 10], "CUT"),
    "something behind the end": (GOOD + b"\1" * 512, "EXTRA_BYTES"),
    "endless nothing behind the end": (GOOD + bytes(3 << 20), "EXTRA_BYTES"),
    "a signature that is none": (resigned(lambda _: b"\xff\xfe"), "BAD_SIGNATURE"),
    "a signature without an end": (resigned(lambda was: was * 9), "TOO_LARGE"),
    "a signature that was altered": (resigned(lambda was: was[:-6] + b"AAAAA\n"), "BAD_SIGNATURE"),
    "somebody else's signature": (Bundle().signed(Ed25519PrivateKey.generate()), "UNKNOWN_KEY"),
    "a signature of another manifest": (Bundle().signed().reword(built=1), "BAD_SIGNATURE"),
    "a signature that is not good any more": (Bundle(expires=5_000).signed(), "EXPIRED"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_bundle_is_refused_with_the_reason(name: str) -> None:
    made, reason = BAD[name]
    data = made if isinstance(made, bytes) else made.data()
    with pytest.raises(BadBundle) as refused:
        asyncio.run(read(data))
    assert refused.value.reason == reason, refused.value.message
    assert len(refused.value.message) < 400 and "\n" not in refused.value.message


def test_what_was_announced_must_come() -> None:
    for total, sha256, reason in (
        (len(GOOD) + 1, "", "CUT"),
        (len(GOOD) - 1, "", "TOO_LONG"),
        (len(GOOD), "0" * 64, "BAD_HASH"),
    ):
        with pytest.raises(BadBundle) as refused:
            asyncio.run(read(GOOD, total, sha256))
        assert refused.value.reason == reason


def test_a_signature_is_asked_for_once_a_key_is_enrolled_and_not_before() -> None:
    signed = Bundle().signed()
    text, signature = signed.members[1][1], signed.members[2][1]
    assert verify(text, None, {}, 0, NOW_S) == "" and verify(text, signature, {}, 0, NOW_S) == ""
    assert verify(text, signature, KEYS, 0, NOW_S) == KID
    with pytest.raises(BadBundle) as refused:
        verify(text, None, KEYS, 0, NOW_S)
    assert refused.value.reason == "NOT_SIGNED"


def test_a_signature_under_something_else_is_worth_nothing() -> None:
    text = Bundle().members[1][1]
    bare = Bundle().signed().members[2][1].split(b" ")[0] + b" " + _text(KEY.sign(text))
    with pytest.raises(BadBundle) as refused:
        verify(text, bare, KEYS, 0, NOW_S)
    assert refused.value.reason == "BAD_SIGNATURE"


def _text(raw: bytes) -> bytes:
    import base64

    return base64.urlsafe_b64encode(raw).rstrip(b"=") + b"\n"
