"""The pure parts of a boot: how a disk is divided, which link is chosen, what the console shows, what a crash says."""

import asyncio
import struct
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import Any

import pytest

from capsuled.boot.bring_up import booted_of, reserve_kib
from capsuled.boot.console import WIDTH, Face, banner
from capsuled.boot.disks import disk_of, partition_of
from capsuled.boot.ends import crashes, forget, traceback_of
from capsuled.boot.ground import Booted, Ground
from capsuled.boot.group import lvm_configuration, sizes
from capsuled.boot.hostname import wanted
from capsuled.boot.lease import Lease, resolver_text, told, written
from capsuled.boot.links import Link, chosen, lacking, links
from capsuled.boot.power import KEY_POWER, buttons, is_pressed
from capsuled.boot.stages import API, KERNEL, Stages, before_us
from capsuled.boot.storage import Mounted
from capsuled.boot.sysfs import text_of
from capsuled.boot.system import System
from capsuled.condition import State
from capsuled.identity import Identity
from capsuled.services.capsule import About
from init.trial import DEFAULT_WINDOW_S
from journal.events import BootStage, DaemonCrashed

GIB = 1 << 30


def test_what_the_storage_and_the_runtimes_records_have_to_tell_stands_in_info() -> None:
    nothing: Any = None
    mounted = Mounted(notes=("the file system of perm was damaged",))
    system = System(Ground(nothing, nothing, Booted("slot_a"), "/dev/vda3", mounted, "0.1.0 abc"))
    system.notes.append("containerd is not started")
    about = About(Identity("2ad99090-a60b-4666-a937-e5842bde9915", b"k" * 32), Path("/"), State())
    system.introduce(about)
    assert asyncio.run(about.warnings(1.0)) == ["the file system of perm was damaged", "containerd is not started"]


@pytest.mark.parametrize(
    ("group_gib", "journal", "perm"), [(3, 256, 1024), (16, 512, 4096), (64, 2048, 16_384), (4000, 2048, 32_768)]
)
def test_the_group_is_divided_by_its_size(group_gib: int, journal: int, perm: int) -> None:
    assert (sizes(group_gib * GIB).journal, sizes(group_gib * GIB).perm) == (journal, perm)


@pytest.mark.parametrize(
    ("root", "disk", "partition"),
    [
        ("/dev/vda3", "/dev/vda", "/dev/vda6"),
        ("/dev/sdab12", "/dev/sdab", "/dev/sdab6"),
        ("/dev/nvme0n1p3", "/dev/nvme0n1", "/dev/nvme0n1p6"),
        ("/dev/mmcblk0p3", "/dev/mmcblk0", "/dev/mmcblk0p6"),
    ],
)
def test_the_state_is_on_the_disk_that_booted(root: str, disk: str, partition: str) -> None:
    assert (disk_of(root), partition_of(root, 6)) == (disk, partition)


def test_lvm_looks_at_one_partition_alone() -> None:
    assert 'filter = [ "a|^/dev/vda6$|", "r|.*|" ]' in lvm_configuration("/dev/vda6")


def test_the_slot_stands_on_the_kernels_command_line() -> None:
    assert booted_of("BOOT_IMAGE=/vmlinuz capsule.slot=slot_b capsule.default=slot_b panic=10\n") == Booted(
        "slot_b", "slot_b"
    )
    assert booted_of("quiet") == Booted("")


def test_a_slot_that_is_not_the_default_is_an_updates() -> None:
    trial = "capsule.slot=slot_b capsule.default=slot_a capsule.update=41"
    assert booted_of(trial) == Booted("slot_b", "slot_a", 41, DEFAULT_WINDOW_S)
    assert booted_of(f"{trial} capsule.window=600") == Booted("slot_b", "slot_a", 41, 600)
    assert booted_of(trial.replace("slot_a", "slot_b")) == Booted("slot_b", "slot_b")
    assert booted_of("capsule.slot=slot_b capsule.default=slot_a capsule.update=x") == Booted("slot_b", "slot_a")


def link(name: str, carrier: bool, up: bool = True) -> Link:
    return Link(name, "52:54:00:12:34:56", carrier, up=up)


@pytest.mark.parametrize(
    ("having", "now", "asked_for", "uplink"),
    [
        ((), "", "", ""),
        ((link("eth0", False), link("eth1", True)), "", "", "eth1"),
        ((link("eth0", True), link("eth1", True)), "eth1", "", "eth1"),
        ((link("eth0", True), link("eth1", False)), "eth1", "", "eth0"),
        ((link("eth0", False), link("eth1", False)), "eth1", "", "eth1"),
        ((link("eth0", True), link("eth1", True)), "eth0", "eth1", "eth1"),
        ((link("eth0", True),), "eth0", "eth7", ""),
    ],
)
def test_the_uplink_is_the_first_that_has_a_link_and_stays_while_it_has(
    having: tuple[Link, ...], now: str, asked_for: str, uplink: str
) -> None:
    assert chosen(having, now, asked_for) == uplink


@pytest.mark.parametrize(
    ("having", "now", "why"),
    [
        ((), "", "no network card is known, or its driver lacks firmware"),
        ((link("eth0", False), link("eth1", False)), "eth0", "no cable is in eth0 or eth1"),
        ((link("eth0", False), link("eth1", False, up=False)), "eth0", "no cable is in eth0"),
        ((link("eth0", False, up=False),), "", "eth0 is not up"),
        ((link("eth0", True), link("eth1", False)), "eth0", "nobody has answered DHCP on eth0"),
        ((link("eth0", True),), "", ""),
    ],
)
def test_why_there_is_no_address_is_said(having: tuple[Link, ...], now: str, why: str) -> None:
    assert lacking(having, now) == why


def test_what_a_device_calls_itself_need_be_no_text(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"Stick \xff\xb5 \n")
    assert text_of(tmp_path / "model") == "Stick \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"
    assert text_of(tmp_path / "none") == ""


def test_of_an_interface_that_is_down_the_kernel_tells_no_carrier(tmp_path: Path) -> None:
    for name, carrier in (("eth0", "1\n"), ("eth1", "0\n"), ("eth2", "")):
        place = tmp_path / "class/net" / name
        (place / "device").mkdir(parents=True)
        for file, text in (("type", "1\n"), ("carrier", carrier)):
            (place / file).write_text(text)
    assert [(one.carrier, one.up) for one in links(tmp_path)] == [(True, True), (False, True), (False, False)]


def test_a_lease_is_what_the_script_noted(tmp_path: Path) -> None:
    file = tmp_path / "eth0.lease"
    assert told(file) is None
    file.write_text("ip=10.0.2.15\nmask=24\nrouter=10.0.2.2 10.0.2.9\ndns=10.0.2.3\nntpsrv=10.0.2.4\n")
    router, dns = IPv4Address("10.0.2.2"), (IPv4Address("10.0.2.3"),)
    assert told(file) == Lease(IPv4Interface("10.0.2.15/24"), router, dns, ("10.0.2.4",))
    file.write_text("ip=nonsense\n")
    assert told(file) is None


def test_an_operator_writes_the_uplink_down() -> None:
    found = written("# the rack\ninterface eth1\naddress 192.168.1.20/24\ngateway 192.168.1.1\ndns 9.9.9.9 1.1.1.1\n")
    assert found is not None and found.interface == "eth1"
    assert found.lease.router == IPv4Address("192.168.1.1")
    assert resolver_text(found.lease.dns) == "nameserver 9.9.9.9\nnameserver 1.1.1.1\n"
    assert written("\n# nothing\n") is None


@pytest.mark.parametrize(
    "text", ["address 192.168.1.20", "gateway 10.0.0.1", "adress 10.0.0.1/8", "address 1.2.3.4/8\naddress 1.2.3.4/8"]
)
def test_what_cannot_be_an_uplink_is_said_and_not_used(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        written(text)


@pytest.mark.parametrize(
    ("text", "macs", "name"),
    [
        ("attic\n", ("52:54:00:ab:cd:ef",), "attic"),
        ("not a name!", ("52:54:00:ab:cd:ef",), "capsule-abcdef"),
        ("", (), "capsule"),
    ],
)
def test_the_name_is_the_operators_or_the_cards(tmp_path: Path, text: str, macs: tuple[str, ...], name: str) -> None:
    (tmp_path / "hostname").write_text(text)
    assert wanted(tmp_path / "hostname", macs) == name


def face(**fields: object) -> Face:
    known: dict[str, object] = {
        "hostname": "attic", "short_id": "capsule-1234", "version": "0.0.1 abc", "slot": "slot_a",
        "addresses": ("192.168.1.20:50000",), "fingerprint": "ab" * 32, "claimable": True, "adopted": False,
        "condition": "ok", "workloads": "none",
    }  # fmt: skip
    return Face(**{**known, **fields})  # type: ignore[arg-type]


def test_the_banner_says_who_where_and_whose_it_is() -> None:
    text = banner(face())
    for word in ("attic (capsule-1234)", "192.168.1.20:50000", "ab" * 16, "0.0.1 abc, slot_a, ok", "capsulectl adopt"):
        assert word in text
    assert "not adopted" not in banner(face(adopted=True))
    assert "start the machine anew" in banner(face(claimable=False))
    assert "  address      no address yet\n" in banner(face(addresses=()))
    assert "  address      no address yet: no cable is in eth0\n" in banner(
        face(addresses=(), unreached="no cable is in eth0")
    )
    assert all(len(line) <= WIDTH for line in banner(face(addresses=(), unreached="a reason " * 30)).splitlines())
    assert all(len(line) <= WIDTH for line in banner(face(problems=("a reason " * 30,))).splitlines())


def test_of_a_traceback_the_places_and_the_kind_are_kept_but_not_the_message() -> None:
    said = """noise
Traceback (most recent call last):
  File "/capsule/house/capsuled/__main__.py", line 12, in main
    go()
  File "/usr/lib/python3.11/asyncio/runners.py", line 190, in run
ValueError: the password is hunter2
"""
    frames = ("capsuled/__main__.py:12 main", "/usr/lib/python3.11/asyncio/runners.py:190 run")
    assert traceback_of(said) == (frames, "ValueError")


def test_of_a_fault_in_c_code_the_innermost_place_stands_last_too() -> None:
    said = """Fatal Python error: Segmentation fault

Current thread 0x00007f (most recent call first):
  File "/capsule/house/journal/reader.py", line 5 in get
  File "/capsule/house/capsuled/__main__.py", line 9 in main
"""
    assert traceback_of(said)[0] == ("capsuled/__main__.py:9 main", "journal/reader.py:5 get")


def test_ends_become_events_in_their_order_and_are_forgotten(tmp_path: Path) -> None:
    (tmp_path / "00000000000000000009").write_text("9 100 signal 9\n")
    (tmp_path / "00000000000000000002").write_text("2 50 exit 1\n")
    (tmp_path / ".new").write_text("7 7 exit 7\n")
    (tmp_path / "00000000000000000011").write_text("nonsense")
    assert crashes(tmp_path) == (DaemonCrashed("exit 1", 50, 2), DaemonCrashed("SIGKILL", 100, 9))
    forget(tmp_path)
    assert crashes(tmp_path) == ()


def test_stages_are_timed_kept_over_a_restart_and_never_added_to_again(tmp_path: Path) -> None:
    now = iter(range(0, 100_000_000_000, 1_000_000_000))
    stages = Stages(tmp_path / "stages.json", lambda: next(now))
    (tmp_path / "began").write_text("5000000000 6000000000\n")
    before_us(stages, tmp_path / "began", 7_000_000_000)
    with stages.stage("early"):
        pass
    with pytest.raises(RuntimeError), stages.stage("bad"):
        raise RuntimeError("no disk")
    stages.add(API, 8_000_000_000, 9_500_000_000)
    assert stages.all[0].name == KERNEL and stages.ready_ms == 9_500
    assert BootStage("bad", 2_000, 1_000, "no disk") in stages.all
    stages.keep()
    again = Stages(tmp_path / "stages.json")
    assert again.complete and again.all == stages.all
    again.add("late", 0, 0)
    assert again.all == stages.all


def test_the_power_button_is_found_and_heard(tmp_path: Path) -> None:
    place = tmp_path / "class/input/event0/device/capabilities"
    place.mkdir(parents=True)
    (place / "key").write_text(f"{1 << KEY_POWER - 64:x} 0\n")
    assert buttons(tmp_path) == ("event0",)
    (place / "key").write_text("0\n")
    assert buttons(tmp_path) == ()
    event = struct.Struct("llHHi")
    pressed, released = event.pack(0, 0, 1, KEY_POWER, 1), event.pack(0, 0, 1, KEY_POWER, 0)
    assert is_pressed(event.pack(0, 0, 0, 0, 0) + pressed) and not is_pressed(released)


@pytest.mark.parametrize(("memory_gib", "kib"), [(1, 16_384), (2, 16_384), (16, 16_384), (64, 32_768), (256, 65_536)])
def test_the_kernel_keeps_little_of_the_memory_free(memory_gib: int, kib: int) -> None:
    assert reserve_kib(memory_gib * GIB) == kib
