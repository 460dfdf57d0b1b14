"""The builder's parts that need no root file system: what is chosen, written and refused."""

import ast
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from capsuled.boot import partitions
from capsuled.boot.disks import SECTOR_BYTES
from effects.slots.manifest import BadBundle
from effects.slots.signing import kid_of, verify
from guest.image import __main__ as guest_image
from guest.image.tree import PROGRAM, Tree
from image import __main__ as entry
from image import boot, bundle, disk, house, initramfs, packages, python, sbom
from image.__main__ import day
from image.cache import KEPT, Cache, key_of
from image.commands import BuildFailed, command
from image.modes import settle
from tests.support.booted import ROOT


def test_modules_stand_behind_those_they_need_and_built_in_ones_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "modules.dep").write_text(
        "kernel/fs/overlay.ko:\nkernel/d/ahci.ko: kernel/d/libahci.ko kernel/d/libata.ko\n"
        "kernel/d/libahci.ko: kernel/d/libata.ko\nkernel/d/libata.ko: kernel/d/scsi.ko\nkernel/d/scsi.ko:\n"
    )
    (tmp_path / "modules.builtin").write_text("kernel/d/nvme-core.ko\n")
    names = [Path(one).stem for one in initramfs.chosen_modules(tmp_path, ("ahci", "overlay", "nvme_core"))]
    assert names == ["scsi", "libata", "libahci", "ahci", "overlay"]
    with pytest.raises(BuildFailed, match="no module zfs"):
        initramfs.chosen_modules(tmp_path, ("zfs",))


def test_the_initramfs_is_a_cpio_archive_that_others_read_and_always_the_same(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "bin").mkdir(parents=True)
    (tree / "bin/program").write_bytes(b"\x7fELF")
    (tree / "bin/program").chmod(0o755)
    (tree / "link").symlink_to("bin/program")
    data = b"".join(initramfs.cpio(tree))
    assert data == b"".join(initramfs.cpio(tree))
    listed = subprocess.run(["busybox", "cpio", "-t"], input=data, capture_output=True, check=True).stdout
    assert listed.decode().split() == ["bin", "bin/program", "link"]
    subprocess.run(["busybox", "cpio", "-i", "-d"], input=data, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "bin/program").read_bytes() == b"\x7fELF" and (tmp_path / "link").is_symlink()


def test_a_boot_image_is_made_anew_when_what_makes_it_is_another() -> None:
    borrowed = {
        initramfs.MADE_BY[0].parents[1] / f"{node.module.replace('.', '/')}.py"
        for file in initramfs.MADE_BY
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("guest.")
    }
    assert borrowed and borrowed <= set(initramfs.MADE_BY)


def test_the_loader_asks_the_disk_for_its_roots_id_and_can_read_its_configuration(tmp_path: Path) -> None:
    text = boot.configuration(("quiet", "panic=10"))
    (tmp_path / "grub.cfg").write_text(text)
    command("grub-script-check", tmp_path / "grub.cfg")
    assert "probe --set=root_id --part-uuid ($system)" in text and "quiet panic=10;" in text and "@" not in text


def test_the_kernel_is_told_to_go_by_the_tables_copy_and_one_torn_while_it_is_written_has_every_partition(
    tmp_path: Path,
) -> None:
    (words,) = [line.split() for line in boot.configuration(boot.ARGUMENTS).splitlines() if "/vmlinuz" in line]
    assert "gpt" in [word.rstrip(";") for word in words]
    table = disk.Table(16)
    disk.write(tmp_path / "disk.raw", table, table.least_mib, "build", {})
    written = partitions.parsed(command("sfdisk", "--json", tmp_path / "disk.raw"))
    with (tmp_path / "disk.raw").open("r+b") as torn:  # the entries are those to come, the header is the one before
        torn.seek(2 * SECTOR_BYTES + 16)
        torn.write(bytes(16))
    assert partitions.parsed(command("sfdisk", "--json", tmp_path / "disk.raw")) == written


def test_a_disk_has_its_partitions_where_pid_1_and_the_loader_count_on_them(tmp_path: Path) -> None:
    table = disk.Table(16)
    (tmp_path / "root.img").write_bytes(b"root" * 1024)
    disk.write(tmp_path / "disk.raw", table, table.least_mib, "build", {"root_a": tmp_path / "root.img"})
    told = partitions.parsed(command("sfdisk", "--json", tmp_path / "disk.raw"))
    assert told.is_a_capsules and told.partitions[partitions.ESP - 1].name == "esp"
    for slot, (boot_number, root_number) in partitions.NUMBERS.items():
        names = told.partitions[boot_number - 1].name, told.partitions[root_number - 1].name
        assert names == (f"boot_{slot[-1]}", f"root_{slot[-1]}")
    root_a = told.partitions[2]
    assert root_a.uuid.lower() == disk.partition_id("build", "root_a")
    with (tmp_path / "disk.raw").open("rb") as made:
        made.seek(root_a.start * 512)
        assert made.read(8) == b"rootroot"
    assert (tmp_path / "disk.raw").stat().st_blocks * 512 < 1 << 20  # holes stay holes


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "root.img").write_bytes(bytes(2 << 20))
    with pytest.raises(BuildFailed, match=r"2\.0 MiB, its partition 1 MiB: less"):
        disk.refuse_misfit(tmp_path / "root.img", 1, "the root image", "less")
    with pytest.raises(BuildFailed, match="too small"):
        disk.write(tmp_path / "disk.raw", disk.Table(768), 100, "build", {})


def test_an_update_says_what_is_in_it_before_it_comes(tmp_path: Path) -> None:
    members = {"boot.img": tmp_path / "boot.img", "root.img": tmp_path / "root.img"}
    for name, file in members.items():
        file.write_bytes(name.encode())
    key = Ed25519PrivateKey.generate()
    bundle.write(tmp_path / "plain.tar", "1.2.3", "abc", members, 5)
    bundle.write(tmp_path / "signed.tar", "1.2.3", "abc", members, 5, key)
    with tarfile.open(tmp_path / "plain.tar") as tar:
        assert tar.getnames() == ["VERSION", "manifest.json", "boot.img", "root.img"]
        manifest = json.load(tar.extractfile("manifest.json") or io.BytesIO())
    assert manifest["members"][1] == {
        "name": "root.img",
        "size": 8,
        "sha256": hashlib.sha256(b"root.img").hexdigest(),
    }
    assert manifest["levels"]["events"]["workload.applied"] == 1
    with tarfile.open(tmp_path / "signed.tar") as tar:
        assert tar.getnames()[2] == "manifest.sig"


def test_an_update_is_signed_with_an_ed25519_key_and_no_other(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    command("openssl", "genpkey", "-algorithm", "ed25519", "-out", file)
    assert bundle.signing_key(file).sign(b"") != b""
    command("openssl", "genpkey", "-algorithm", "rsa", "-out", file)
    with pytest.raises(BuildFailed, match="no Ed25519 key"):
        bundle.signing_key(file)
    file.write_text("no key")
    with pytest.raises(BuildFailed, match="no key that can be used"):
        bundle.signing_key(file)
    with pytest.raises(BuildFailed, match=r"absent.pem cannot be read: No such file or directory$"):
        bundle.signing_key(tmp_path / "absent.pem")


def test_results_are_kept_by_all_that_they_are_made_of(tmp_path: Path) -> None:
    cache, built = Cache(tmp_path), []

    def build(target: Path) -> None:
        built.append(target)
        (target / "made").touch()

    assert cache.get("step", "one", build) == cache.get("step", "one", build)
    assert len(built) == 1
    with pytest.raises(RuntimeError):
        cache.get("step", "two", lambda target: (_ for _ in ()).throw(RuntimeError("in the middle")))
    assert not (tmp_path / "step-two").exists()
    for number in range(5):
        cache.get("step", str(number), build)
    assert len(list(tmp_path.glob("step-*"))) == KEPT
    (tmp_path / "file").write_text("a")
    assert key_of(["x", tmp_path / "file"]) != key_of(["xa", tmp_path / "file"])


def test_a_package_that_apt_does_not_know_is_named_in_what_the_builder_says() -> None:
    with pytest.raises(BuildFailed, match="no-such-firmware` ended with 100"):
        packages.candidates(("no-such-firmware",))


def test_the_python_packages_are_those_that_the_daemon_needs(tmp_path: Path) -> None:
    names = {one.name.lower() for one in python.needed()}
    assert {"grpcio", "lmdb", "msgspec", "pyroute2", "httpx", "h11"} <= names
    assert not names & {"pytest", "mypy", "ruff", "hypothesis"}


def test_what_is_copied_of_them_is_the_same_from_every_checkout(tmp_path: Path) -> None:
    python.place(tmp_path)
    about = {file.name for file in tmp_path.glob("*.dist-info/*")}
    assert "METADATA" in about and not about & {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}


@pytest.fixture(params=[0o002, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """Of whoever cloned, and of whoever builds."""
    before = os.umask(request.param)  # noqa: TID251 - nothing else runs meanwhile
    yield request.param
    os.umask(before)  # noqa: TID251


def modes(directory: Path) -> dict[str, str]:
    """Of everything in it that has one, by its path."""
    there = (directory, *directory.rglob("*"))
    return {str(one.relative_to(directory)): oct(one.stat().st_mode & 0o7777) for one in there if not one.is_symlink()}


def test_the_house_has_the_same_modes_whoever_cloned_and_builds_it(
    tmp_path: Path, umask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone, guest, target = tmp_path / "clone", tmp_path / "guest", tmp_path / "capsule"
    (clone / "journal/parts").mkdir(parents=True)
    for name in ("__init__.py", "tool.py", "parts/__init__.py", "parts/stub.pyi"):
        (clone / "journal" / name).touch(0o777 if name == "tool.py" else 0o666)
    guest.mkdir()
    for name in house.GUEST:
        (guest / name).touch()
    monkeypatch.setattr(house, "ROOT", clone)
    monkeypatch.setattr(house, "packages", lambda: ("journal",))
    house.place(target, guest, "0.1.0", "abc", 0)
    compiled = {f"house/journal/{name}" for name in ("__pycache__", "parts/__pycache__")}
    found = modes(target)
    assert compiled < set(found) and "house/journal/parts/stub.pyi" not in found
    directories = {".", "house", "house/journal", "house/journal/parts", "guest", *compiled}
    programs = {"init", "uplink", "house/journal/tool.py"}
    assert found == {name: "0o755" if name in directories | programs else "0o644" for name in found}


def test_so_have_the_python_packages_and_what_microvms_boot(
    tmp_path: Path, umask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(python, "needed", lambda: (distribution("msgspec"),))
    python.place(tmp_path / "site")
    found = modes(tmp_path / "site")
    assert found["."] == found["msgspec"] == "0o755" and found["msgspec/__init__.py"] == "0o644"
    assert set(found.values()) == {"0o755", "0o644"}
    tree = Tree()
    tree.file("sbin/agent", b"", PROGRAM)
    tree.file("etc/hosts", b"")
    (tmp_path / "tree").mkdir()
    tree.write(tmp_path / "tree")
    guest = modes(tmp_path / "tree")
    assert (guest["sbin"], guest["sbin/agent"], guest["etc"], guest["etc/hosts"]) == (
        "0o755",
        "0o755",
        "0o755",
        "0o644",
    )


def test_a_monitor_reads_what_it_boots_whoever_built_it(
    tmp_path: Path, umask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(scratch: Path, cache: Path) -> Path:
        for name in house.GUEST:
            (scratch / name).touch()
        return scratch

    monkeypatch.setattr(guest_image, "_build", build)
    guest_image._bring(tmp_path / "guest")
    assert {(tmp_path / "guest" / name).stat().st_mode & 0o777 for name in house.GUEST} == {0o644}


def test_a_link_is_left_alone_when_modes_are_settled(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch(0o600)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/link").symlink_to(tmp_path / "elsewhere")
    settle(tmp_path / "tree")
    assert (tmp_path / "elsewhere").stat().st_mode & 0o777 == 0o600


def test_what_the_builder_runs_has_one_umask(umask: int) -> None:
    assert command("sh", "-c", "umask") == b"0022\n"


@pytest.mark.needs("make")
def test_what_make_runs_has_it_too(umask: int) -> None:
    words = ["make", "--silent", "--no-print-directory", "--eval", "told: ; @umask; echo '$$HOME'", "told"]
    told = subprocess.run(words, cwd=house.ROOT, check=True, capture_output=True).stdout
    assert told == b"0022\n$HOME\n"


def test_a_commit_has_a_plus_where_something_else_is_shipped_and_one_length_in_every_clone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git = ("git", "-C", tmp_path, "-c", "user.name=anna", "-c", "user.email=anna@example.org")
    for module in (entry, house):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    for name in ("journal", "gen/capsule", "docs"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "kept.py").touch()
    (tmp_path / "pyproject.toml").write_text('[tool.setuptools]\npackages = ["journal"]\n')
    (tmp_path / ".gitignore").write_text("__pycache__/\n*.swp\n")
    command("git", "init", "-q", tmp_path)
    command(*git, "add", ".")
    command(*git, "commit", "-q", "-m", "All of it")
    whole = command(*git, "rev-parse", "HEAD").decode().strip()
    named, epoch_s = entry._commit()
    assert named == whole[:12] and epoch_s > 0
    for name in ("docs/new.md", "gen/capsule/new.pyi", "journal/__pycache__/kept.pyc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "docs/kept.py").write_text("altered")
    assert entry._commit()[0] == named, "nothing of that is in an image"
    for name in ("journal/new.py", "journal/kept.py.swp", "gen/capsule/new.py", "image/files/new.cfg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
        assert entry._commit()[0] == f"{named}+", name
        (tmp_path / name).unlink()
    (tmp_path / "journal/kept.py").write_text("altered")
    assert entry._commit()[0] == f"{named}+"


def test_everything_that_is_installed_elsewhere_is_in_the_image() -> None:
    assert {"capsuled", "effects", "projections", "journal", "gen", "init"} <= set(house.packages())


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        ("Format: dep5\n\nFiles: *\nLicense: GPL-2+\n\nFiles: x\nLicense: Expat\n", "GPL-2.0-or-later AND MIT"),
        ("Format: dep5\nLicense: GPL-2+ or Artistic\n", "Artistic-1.0-Perl AND GPL-2.0-or-later"),
        ("Format: dep5\nLicense: public domain\n", "LicenseRef-public-domain"),
        ("This package was debianized by hand.\n", "NOASSERTION"),
    ],
)
def test_licences_are_what_the_copyright_file_declares(tmp_path: Path, text: str, licence: str) -> None:
    (tmp_path / "copyright").write_text(text)
    assert sbom.debian_licence(tmp_path / "copyright") == licence


def test_the_list_of_contents_has_every_package_once(tmp_path: Path) -> None:
    (tmp_path / "status").write_text(
        "Package: zlib1g\nVersion: 1:1.2\nSource: zlib (1.2)\n\nPackage: dash\nVersion: 1\n"
    )
    text = sbom.document(tmp_path / "status", tmp_path / "doc", python.needed()[:2], "0.0.1", "abc", 0)
    document = json.loads(text)
    assert [one["name"] for one in document["packages"][:3]] == ["capsule", "dash", "zlib1g"]
    assert document["packages"][2]["sourceInfo"] == "Debian source zlib"
    assert len({one["SPDXID"] for one in document["packages"]}) == len(document["packages"]) == 5
    assert document["creationInfo"]["created"] == "1970-01-01T00:00:00Z"
    assert len(document["relationships"]) == 5


def test_a_signature_is_good_until_the_end_of_the_day_that_was_said(tmp_path: Path) -> None:
    (tmp_path / "boot.img").write_bytes(b"boot")
    until = day("2027-06-30")
    assert until == 1_814_399_999
    key = Ed25519PrivateKey.generate()
    bundle.write(tmp_path / "update.tar", "0.1.0", "abc", {"boot.img": tmp_path / "boot.img"}, 0, key, until)
    with tarfile.open(tmp_path / "update.tar") as tar:
        manifest, signature = (tar.extractfile(name).read() for name in ("manifest.json", "manifest.sig"))  # type: ignore[union-attr]
    public = key.public_key().public_bytes_raw()
    expires, keys = json.loads(manifest)["expires"], {kid_of(public): public.hex()}
    assert verify(manifest, signature, keys, expires, until) == kid_of(public)
    with pytest.raises(BadBundle, match="not good any more"):
        verify(manifest, signature, keys, expires, until + 1)


def test_a_last_day_that_is_over_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    words = [
        "--update-key",
        str(tmp_path / "key.pem"),
        "--update-expires",
        "2020-01-01",
        "--out",
        str(tmp_path / "out"),
    ]
    argv = [sys.executable, "-m", "image", *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT)
    assert done.returncode == 2 and "--update-expires is over" in done.stderr
    assert not (tmp_path / "out").exists()
