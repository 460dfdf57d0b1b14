"""What a tentative boot keeps as it goes, and what the boot after it gathers."""

import asyncio
import os
import threading
import time
from pathlib import Path

import pytest

from capsuled.evidence.gathering import Places, Told, gather
from capsuled.evidence.keeping import KERNEL_BYTES, Keeper, kernel_lines
from capsuled.evidence.last_words import BOOTS_KEPT, dumps, fired, held, marker, take
from init.recorder import Recorder
from journal.evidence import Evidence, FailedCheck, Loader, Mark
from projections.causes import judge

SECOND_NS = 1_000_000_000
WALL_NS = 1_800_000_000 * SECOND_NS


class Machine:
    """A machine's disk, pstore and watchdog, over two boots."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.pstore = place / "pstore"
        self.partition = place / "boot_b"
        self.watchdogs = place / "watchdogs"
        (place / "evidence").mkdir()
        (place / "logs").mkdir()
        self.pstore.mkdir()
        self.partition.write_bytes(bytes(128 << 10))
        (self.watchdogs / "watchdog0").mkdir(parents=True)
        self.watchdog_says("i6300ESB timer", 0)
        self.age_ns = 20 * SECOND_NS
        self.keeper = Keeper(
            41, place / "evidence/41", place / "no-kmsg", lambda: self.age_ns, lambda: WALL_NS + self.age_ns
        )
        self.recorder = Recorder(str(self.partition), "41", "tentative")

    def watchdog_says(self, identity: str, status: int) -> None:
        (self.watchdogs / "watchdog0/identity").write_text(f"{identity}\n")
        (self.watchdogs / "watchdog0/bootstatus").write_text(f"{status}\n")

    def tentative_boot(self, emptied: bool = True) -> None:
        self.recorder.note("init")
        self.keeper.begin("tentative", "slot_b", "0.2.0 (abc)", emptied)
        self.keeper.mark("API")
        self.keeper.sign()

    def panics(self, *lines: str) -> None:
        """In two parts, as efi_pstore has it: the first is the newest."""
        (self.pstore / "dmesg-efi_pstore-2").write_text(f"Panic#1 Part1\n{chr(10).join(lines)}\n")
        (self.pstore / "dmesg-efi_pstore-1").write_text("Panic#1 Part2\n<6>[    1.0] earlier\n")

    def found(self, loader: Loader = "taken", told: Told = Told(), seconds_later: float = 30.0) -> Evidence:
        """By the next boot."""
        take(self.place / "evidence/last-words", "next", self.pstore)
        began_ns = WALL_NS + self.age_ns + int(seconds_later * SECOND_NS)
        places = Places(
            self.place / "evidence/41", self.partition, self.place / "evidence/last-words/next", "efi", self.place / "logs",
            self.watchdogs,
        )  # fmt: skip
        return gather(41, "slot_b", loader, places, told, lambda: 9 * SECOND_NS, lambda: began_ns + 9 * SECOND_NS)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_boot_that_lived_tells_its_stages_and_its_last_sign_of_life(machine: Machine) -> None:
    machine.tentative_boot()
    found = machine.found()
    assert (found.boot, found.release, found.alive_ms, found.gap_ms) == ("tentative", "0.2.0 (abc)", 20_000, 30_000)
    assert {mark.name for mark in found.marks} == {"init", "state", "API"}
    assert Mark("API", 20_000) in found.marks


def test_why_it_goes_back_is_on_the_disk_before_it_does(machine: Machine) -> None:
    machine.tentative_boot()
    machine.keeper.keep("no-uplink", (FailedCheck("uplink", "no address"),))
    found = machine.found()
    assert (found.returning, found.failed) == ("no-uplink", (FailedCheck("uplink", "no address"),))
    assert judge(found).confidence == "certain"


def test_the_journals_word_comes_before_the_files(machine: Machine) -> None:
    machine.tentative_boot()
    machine.keeper.keep("not-confirmed")
    assert machine.found(told=Told("tentative", "operator")).returning == "operator"


@pytest.mark.parametrize("emptied", [True, False])
def test_last_words_that_do_not_name_the_update_may_be_of_the_system_that_is_back(
    machine: Machine, emptied: bool
) -> None:
    machine.tentative_boot(emptied)
    machine.panics("<0>[   61.5] Kernel panic - not syncing: sysrq triggered crash")
    found = machine.found()
    assert found.panic[-1].endswith("sysrq triggered crash") and found.panic[0].endswith("earlier")
    assert (judge(found).cause, judge(found).confidence) == ("kernel-panic", "likely")
    assert not any(machine.pstore.iterdir())


@pytest.mark.parametrize(
    ("line", "confidence"),
    [
        (f"<5>[    3.1] {marker(41, 'slot_b')}", "certain"),
        ("<5>[    3.1] capsule: PID 1 in the tentative boot of update 41 b88d6d90", "certain"),
        ("<6>[    0.0] Kernel command line: capsule.slot=slot_b capsule.update=41 capsule.window=900", "certain"),
        ("<6>[    0.0] Kernel command line: capsule.slot=slot_b capsule.update=41", "certain"),
        ("<6>[    0.0] Kernel command line: capsule.slot=slot_a capsule.default=slot_a", "likely"),
        (f"<5>[    3.1] {marker(4, 'slot_b')}", "likely"),
        (f"<5>[    3.1] {marker(411, 'slot_b')}", "likely"),
        ("<6>[    0.0] Kernel command line: capsule.slot=slot_b capsule.update=411", "likely"),
    ],
)
def test_last_words_that_name_the_update_are_certain(machine: Machine, line: str, confidence: str) -> None:
    machine.panics(line, "<0>[    4.5] Kernel panic - not syncing: x")
    assert judge(machine.found()).confidence == confidence


@pytest.mark.parametrize("head", ["Panic#1 Part1", "Panic#2 Part1", "no head"])
def test_what_one_dump_names_says_nothing_of_another(machine: Machine, head: str) -> None:
    machine.panics(f"<5>[    3.1] {marker(41, 'slot_b')}", "<0>[   61.5] Kernel panic - not syncing: x")
    assert judge(machine.found()).confidence == "certain"
    (machine.place / "evidence/last-words/next/dmesg-efi_pstore-3").write_text(
        f"{head}\n<0>[    2.5] Kernel panic - not syncing: of the system that was to be back\n"
    )
    assert judge(machine.found()).confidence == "likely"


def test_an_oops_and_the_panic_behind_it_are_two_dumps_in_their_order(machine: Machine) -> None:
    named = f"<5>[    3.1] {marker(41, 'slot_b')}"
    for number, head, last in ((1, "Oops#1 Part1", "<1>[ 9.0] BUG: kernel NULL pointer dereference"),
                               (2, "Oops#1 Part2", "<6>[ 1.0] earlier"),
                               (3, "Panic#2 Part1", "<0>[ 9.1] Kernel panic - not syncing: Fatal exception")):  # fmt: skip
        (machine.pstore / f"dmesg-ramoops-{number}").write_text(f"{head}\n{named}\n{last}\n")
    found = machine.found()
    assert [line.partition("] ")[2] for line in found.panic if named[-9:] not in line] == [
        "earlier", "BUG: kernel NULL pointer dereference", "Kernel panic - not syncing: Fatal exception",
    ]  # fmt: skip
    assert found.panic_is_its


def test_what_was_taken_at_an_earlier_boot_is_not_found_again(machine: Machine) -> None:
    machine.panics("<0>[    4.5] Kernel panic - not syncing: of long ago")
    take(machine.place / "evidence/last-words", "before", machine.pstore)
    assert machine.found().panic == ()


def test_only_the_newest_boots_last_words_are_kept(machine: Machine) -> None:
    kept = machine.place / "evidence/last-words"
    for number in range(2 * BOOTS_KEPT):
        take(kept, f"boot-{number}", machine.pstore)
        os.utime(kept / f"boot-{number}", (number, number))
    assert len(list(kept.iterdir())) <= BOOTS_KEPT + 1
    assert dumps(kept / "nothing-there") == ()


def test_the_present_boots_last_words_stay_where_its_clock_begins_in_the_past(machine: Machine) -> None:
    kept = machine.place / "evidence/last-words"
    for number in range(3 * BOOTS_KEPT):
        take(kept, f"boot-{number}", machine.pstore)
        ahead = time.time() + (number + 1) * 86_400
        os.utime(kept / f"boot-{number}", (ahead, ahead))
        newest = {f"boot-{one}" for one in range(max(0, number - BOOTS_KEPT + 1), number + 1)}
        assert {path.name for path in kept.iterdir()} == newest
    machine.panics("<0>[    4.5] Kernel panic - not syncing: of just now")
    assert any("of just now" in line for line in machine.found().panic)
    take(kept, "after", machine.pstore)
    assert {"next", "after"} < {path.name for path in kept.iterdir()}


@pytest.mark.parametrize(
    ("armed", "statuses", "said"),
    [
        ("i6300ESB timer", ("0", "32"), ("i6300ESB timer", True)),
        ("i6300ESB timer", ("0", "0"), ("i6300ESB timer", False)),
        ("iTCO_wdt", ("0", "0"), ("", None)),
        ("iTCO_wdt", ("0", "32"), ("i6300ESB timer", True)),
        ("", ("0", "32"), ("i6300ESB timer", True)),
        ("", ("0", "0"), ("", None)),
        ("SP5100 TCO timer", ("0", "0"), ("", None)),
        ("i6300ESB timer", ("", "?"), ("", None)),
    ],
)
def test_a_watchdog_says_that_it_fired_and_by_its_silence_that_it_did_not_if_it_is_one_that_would(
    machine: Machine, armed: str, statuses: tuple[str, str], said: tuple[str, bool | None]
) -> None:
    for number, (identity, status) in enumerate(zip(("iTCO_wdt", "i6300ESB timer"), statuses, strict=True)):
        place = machine.watchdogs / f"watchdog{number}"
        place.mkdir(exist_ok=True)
        (place / "identity").write_text(f"{identity}\n")
        (place / "bootstatus").write_text(f"{status}\n")
    assert fired(armed, machine.watchdogs) == said
    assert held(machine.watchdogs) == "iTCO_wdt" and held(machine.place) == ""


def test_a_machine_that_has_nothing_to_look_at_lists_every_place(machine: Machine) -> None:
    machine.partition.unlink()
    found = machine.found("unknown")
    assert [one.source for one in found.looked] == ["loader", "recorder", "perm", "pstore", "watchdog", "journal"]
    assert judge(found).cause == "unknown" and len(judge(found).looked_for) == 6


def test_a_damaged_file_costs_itself_alone(machine: Machine) -> None:
    machine.tentative_boot()
    (machine.place / "evidence/41/alive").write_bytes(b"\xff{")
    (machine.place / "evidence/41/marks").write_bytes(b"no number\n12 API\t\n\xff\xfe\n")
    found = machine.found()
    assert (found.boot, found.alive_ms) == ("tentative", 0)
    assert Mark("API", 12) in found.marks


def test_the_daemons_log_is_there_without_what_errors_said(machine: Machine) -> None:
    machine.tentative_boot()
    (machine.place / "logs/tentative.log").write_text(
        "Z INFO a: up\n  Traceback (most recent call last):\n  KeyError: 'x'\n"
    )
    assert machine.found().log == ("Z INFO a: up", "  Traceback (most recent call last):", "  KeyError")


def test_a_disk_that_takes_nothing_costs_the_boot_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    keeper = Keeper(41, tmp_path / "file/41")
    keeper.begin("b", "slot_b", "", True)
    keeper.keep("operator")


def test_the_kernels_log_is_kept_as_it_comes(machine: Machine) -> None:
    machine.tentative_boot()
    reading, writing = os.pipe2(os.O_NONBLOCK)
    os.write(writing, b"6,101,2500000,-;eth0: link up\n SUBSYSTEM=net\n")
    machine.keeper.turn(reading, first=True)
    os.write(writing, b"6,102,2600000,-;eth0: link down\n")
    machine.keeper.turn(reading, first=False)
    os.close(reading)
    os.close(writing)
    assert machine.found().kernel == ("[    2.500000] eth0: link up", "[    2.600000] eth0: link down")


def test_the_kernel_is_told_again_whose_log_it_is_before_what_it_keeps_of_it_is_full(machine: Machine) -> None:
    kmsg = machine.place / "no-kmsg"
    machine.tentative_boot()
    kmsg.write_text("")
    for number in range(60):
        reading, writing = os.pipe2(os.O_NONBLOCK)
        os.write(writing, f"6,{number},2500000,-;{'x' * 80}\n".encode())
        machine.keeper.turn(reading, first=not number)
        os.close(reading)
        os.close(writing)
        told = kmsg.read_text().splitlines()
        assert bool(told) == (number >= 21), number
    assert set(told) == {f"<7>{marker(41, 'slot_b')}"}


def test_what_is_confirmed_needs_no_evidence_any_more(machine: Machine) -> None:
    machine.tentative_boot()
    asyncio.run(machine.keeper.run(lambda: False))
    assert machine.found().alive_ms == 20_000 and machine.found().kernel == ()


def test_another_life_of_the_daemon_writes_the_kernels_log_anew(machine: Machine) -> None:
    machine.tentative_boot()
    for _ in range(2):
        reading, writing = os.pipe2(os.O_NONBLOCK)
        os.write(writing, b"6,101,2500000,-;eth0: link up\n")
        machine.keeper.turn(reading, first=True)
        os.close(reading)
        os.close(writing)
    assert machine.found().kernel == ("[    2.500000] eth0: link up",)


def comes(machine: Machine, *lines: str, first: bool = False) -> None:
    """The kernel says this, and the keeper has its turn."""
    reading, writing = os.pipe2(os.O_NONBLOCK)
    for line in lines:
        os.write(writing, f"6,101,2500000,-;{line}\n".encode())
    machine.keeper.turn(reading, first=first)
    os.close(reading)
    os.close(writing)


def test_of_a_kernels_log_that_is_over_its_bound_the_end_stays_before_what_came(machine: Machine) -> None:
    machine.tentative_boot()
    comes(machine, "the first", first=True)
    kept, flood = (
        machine.place / "evidence/41/kernel",
        [f"[    3.000000] flood {number:06}" for number in range(10_000)],
    )
    with kept.open("a") as file:
        file.writelines(f"{line}\n" for line in flood)
    assert kept.stat().st_size > KERNEL_BYTES
    comes(machine, "the driver hangs")
    *before, last = kept.read_text().splitlines()
    assert before == flood[-len(before) :] and last == "[    2.500000] the driver hangs"
    assert KERNEL_BYTES // 2 - 100 < kept.stat().st_size < KERNEL_BYTES
    comes(machine, "and is reset")
    assert machine.found().kernel[-3:] == (flood[-1], last, "[    2.500000] and is reset")


def test_a_first_write_that_failed_costs_what_came_until_then_and_no_more(machine: Machine) -> None:
    machine.tentative_boot()
    in_the_way = machine.place / "evidence/41/kernel"
    in_the_way.mkdir()
    comes(machine, "lost", first=True)
    in_the_way.rmdir()
    comes(machine, "eth0: link up")
    comes(machine, "eth0: link down")
    assert machine.found().kernel == ("[    2.500000] eth0: link up", "[    2.500000] eth0: link down")


def test_the_kernels_log_is_let_go_once_nobody_reads_it_any_more(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.tentative_boot()
    (machine.place / "no-kmsg").write_text("")
    reading, go_on, open_still = threading.Event(), threading.Event(), list[bool]()

    def turn(fd: int, first: bool) -> None:
        reading.set()
        assert go_on.wait(60)
        open_still.append(Path(f"/proc/self/fd/{fd}").exists())

    monkeypatch.setattr(machine.keeper, "turn", turn)

    async def inside() -> None:
        keeping = asyncio.ensure_future(machine.keeper.run(lambda: True))
        await asyncio.to_thread(reading.wait, 60)
        keeping.cancel()
        await asyncio.sleep(0.05)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await keeping

    asyncio.run(inside())
    assert open_still == [True]


def test_a_kernels_record_that_is_none_is_passed_over() -> None:
    reading, writing = os.pipe2(os.O_NONBLOCK)
    os.write(writing, b"nonsense")
    assert kernel_lines(reading) == []
    os.close(reading)
    os.close(writing)
