"""Stories of updates, as a machine's journal tells them: entries with times, over boots, and archives of them."""

from pathlib import Path

from journal import archive
from journal.entry import Actor
from journal.events import (
    AppliedWorkload,
    BootCompleted,
    BootStage,
    BootStarted,
    DaemonStarted,
    DaemonStopped,
    EffectStarted,
    Event,
    MachineEndRequested,
    UpdateArmed,
    UpdateArming,
    UpdateBegun,
    UpdateConfirmed,
    UpdateConfirming,
    UpdateEvidenceFound,
    UpdateHealthChanged,
    UpdateReturning,
    UpdateRolledBack,
    UpdateStaged,
    WorkloadApplied,
    WorkloadExited,
    WorkloadStarted,
)
from journal.evidence import Evidence, FailedCheck, Looked, Mark
from journal.reader import Reader
from projections.causes import judge
from tests.support.entries import JOURNAL_ID, Ledger, keep
from tests.support.story import spec

SECOND = 1_000_000_000
START_NS = 1_795_860_000 * SECOND
ALICE = Actor("operator", "a" * 43, "alice", "admin")
STAGES = (BootStage("kernel and initramfs", 0, 8_000), BootStage("volume group", 9_000, 2_100), BootStage("state", 11_200, 400),
          BootStage("API", 12_500, 900), BootStage("containerd", 13_400, 2_200))  # fmt: skip
LOOKED = (
    Looked("loader", "the boot loader's variables: the one-shot was taken"),
    Looked("recorder", "the record behind its boot image: 3 stages of initramfs and PID 1"),
    Looked("perm", "what its daemon kept on /perm: nothing, it did not come so far"),
    Looked("pstore", "the kernel's last words (efi_pstore): 4 lines"),
)
PANIC = (
    "<6>[    3.101200] virtio_net virtio1 eth0: renamed",
    "<4>[    5.201100] init[1]: segfault at 0 ip 00000000004a sp 00007ffd error 4 in python3.11",
    "<0>[    5.203300] Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b",
    "<4>[    5.203900] CPU: 1 PID: 1 Comm: init Not tainted 6.1.0-31-amd64 #1",
)


class Tale(Ledger):
    """A chain in which time passes and the machine boots. `set_by_ns`: by what the wall clock is wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.uids: dict[str, int] = {}
        self.now_ns = START_NS
        self.set_by_ns = 0
        self.began_ns = START_NS - 300 * SECOND
        self.boots("boot-before", "slot_a", "0.1.0", 0.0)

    def boots(self, boot: str, slot: str, release: str, pause_s: float) -> None:
        """Another boot begins, so long after what was told last."""
        self.boot, self.slot, self.release = boot, slot, release
        self.now_ns += int(pause_s * SECOND)
        self.began_ns = self.now_ns

    def tell(self, *events: Event, after_s: float = 0.0, by: Actor | None = None) -> int:
        """Each of them, so long after what was told last; the last one's number."""
        for event in events:
            self.now_ns += int(after_s * SECOND)
            self.mono = self.now_ns - self.began_ns - (self.seq + 1) * 1_000_000
            if by is None:
                self.add(event, at=self.now_ns + self.set_by_ns)
            else:
                self.add(event, at=self.now_ns + self.set_by_ns, actor=by)
        return self.seq

    def runs(self, name: str, number: int, after_s: float = 0.0) -> None:
        """A workload's run begins."""
        uid = self.uids[name]
        self.tell(
            EffectStarted("StartRun", name, uid, run=number, revision=uid),
            WorkloadStarted(name, uid, number, uid, 100 + number),
            after_s=after_s,
        )

    def applies(self, name: str) -> None:
        """A workload is declared, and runs."""
        self.tell(WorkloadApplied((AppliedWorkload(name, "container", spec(), created=True),)), by=ALICE, after_s=1)
        self.uids[name] = self.seq
        self.runs(name, 1, 1)


def pushed(tale: Tale, level: tuple[tuple[str, int], ...] = ()) -> int:
    """An update was pushed and armed, and the old system, which reads so much, ended in order; its number."""
    tale.tell(DaemonStarted(mode="os", previous="first", pid=200, keeps_streaks=True),
              BootStarted("slot_a", "slot_a", "0.1.0 (1a2b3c4)", "6.1.0-30-amd64"), after_s=13)  # fmt: skip
    tale.applies("web")
    tale.applies("db")
    uid = tale.tell(
        UpdateBegun("slot_b", "0.2.0", "9f8e7d6", 1_795_850_000, "slot_a", "0.1.0", "1a2b3c4", size_bytes=190 << 20,
                    from_level=level),
        by=ALICE, after_s=1_200,
    )  # fmt: skip
    tale.tell(UpdateStaged(uid, "b0" * 32, "c1" * 32, 30 << 20, 160 << 20, 41_300), after_s=42)
    tale.tell(UpdateArming(uid, True, ("db", "web")), UpdateArmed(uid), after_s=0.2)
    tale.tell(MachineEndRequested("reboot"), DaemonStopped("asked to"), after_s=0.4)
    return uid


def tried(tale: Tale, uid: int) -> None:
    """The new system booted, and everything runs under it."""
    tale.boots("boot-tried", "slot_b", "0.2.0", 9)
    tale.tell(DaemonStarted(mode="os", previous="clean", pid=210, keeps_streaks=True),
              BootStarted("slot_b", "slot_a", "0.2.0 (9f8e7d6)", "6.1.0-31-amd64", True, uid, 900 * SECOND, uid),
              after_s=6.5)  # fmt: skip
    tale.tell(BootCompleted(STAGES, 13_400), after_s=2.6)
    for name in ("web", "db"):
        tale.runs(name, 2, 0.3)


def back(tale: Tale, evidence: Evidence, uid: int) -> None:
    """The old system is there again, and says why."""
    verdict = judge(evidence)
    tale.boots("boot-after", "slot_a", "0.1.0", 11)
    tale.tell(
        DaemonStarted(mode="os", previous="power-lost", pid=190, keeps_streaks=True),
        BootStarted("slot_a", "slot_a", "0.1.0 (1a2b3c4)", "6.1.0-30-amd64", tried=uid),
        UpdateEvidenceFound(uid, evidence),
        UpdateRolledBack(
            uid, verdict.cause, "", verdict.confidence, verdict.rests_on, verdict.looked_for, evidence.boot
        ),
        after_s=3.3,
    )  # fmt: skip
    for name in ("web", "db"):
        tale.runs(name, 3, 0.4)
    tale.tell(BootCompleted(STAGES, 13_400), after_s=1.0)


def init_exit() -> Tale:
    """PID 1 of the new system dies before anything is mounted."""
    tale = Tale()
    uid = pushed(tale)
    tale.now_ns += 24 * SECOND
    marks = (Mark("initramfs", 3_300), Mark("root", 4_600), Mark("init", 5_050))
    evidence = Evidence("slot_b", "boot-tried", loader="taken", marks=marks, panic=PANIC, panic_is_its=True,
                        console=("    5.050  PID 1 begins",), looked=LOOKED)  # fmt: skip
    back(tale, evidence, uid)
    return tale


def ill_workload(name: str = "web", set_by_ns: int = 0) -> Tale:
    """A workload is not well under the new system, which goes back by itself, and under which the clock is set."""
    tale = Tale()
    uid = pushed(tale)
    tried(tale, uid)
    tale.set_by_ns = set_by_ns
    failing = (FailedCheck(f"workload/{name}", "it ended with code 1, 3 times in a row"),)
    number = tale.uids["web"]
    tale.tell(WorkloadExited("web", number, 2, 1, restart=True, streak=1, restart_delay_ms=100), after_s=2)
    tale.tell(UpdateHealthChanged(uid, failing), after_s=20)
    tale.tell(UpdateReturning(uid, "unhealthy-workload"), MachineEndRequested("reboot"), after_s=60)
    evidence = Evidence(
        "slot_b", "boot-tried", "0.2.0 (9f8e7d6)", "taken", (Mark("initramfs", 3_300), Mark("init", 5_050), Mark("state", 11_600)),
        returning="unhealthy-workload", returning_ms=98_800, failed=failing, alive_ms=99_000, gap_ms=75_000,
        kernel=("[    6.500000] EXT4-fs (dm-0): mounted filesystem",),
        log=("2026-11-28T10:00:00.000+00:00 INFO capsuled.daemon: serving on 10.0.2.15:50000",), looked=LOOKED,
    )  # fmt: skip
    back(tale, evidence, uid)
    return tale


def confirmed(level: tuple[tuple[str, int], ...] = ()) -> Tale:
    """All is well."""
    tale = Tale()
    uid = pushed(tale, level)
    tried(tale, uid)
    tale.tell(UpdateHealthChanged(uid), after_s=5)
    tale.tell(UpdateConfirming(uid, "healthy"), UpdateConfirmed(uid, "slot_b"), after_s=60)
    return tale


def archived(tale: Tale, directory: Path) -> Path:
    """An archive of it."""
    keep(directory / "journal", tale.entries)
    reader = Reader.open(directory / "journal")
    file = directory / "memory.capsule"
    with file.open("wb") as out:
        for block in archive.export(reader, JOURNAL_ID):
            out.write(block)
    reader.close()
    return file
