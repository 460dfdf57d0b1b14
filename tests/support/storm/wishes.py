"""What the operators were promised, and by which rules: the oracle. Shares no code with admission, fold and planner.

Operations on one plot (a volume and the workloads that may mount it) come one after another, so that each is either
right or wrong to be refused; plots are at work side by side.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

Lines = tuple[str, ...]


@dataclass(frozen=True)
class Port:
    """A mapping as it was acknowledged; `host_port` is 0 before the machine has chosen one."""

    protocol: str
    host_port: int
    container_port: int


@dataclass(frozen=True)
class Program:
    """What a workload is to run. `token` tells it from every other; `disk` is the volume's name, or empty.

    `check`: exec, http or tcp, or empty; one that is `told` of only runs on when it fails. `needs`: who has to run
    before it starts. `secret`: what it has in its environment and in a file, or empty. `machine`: it is a microVM.
    """

    token: str
    bridged: bool
    ports: tuple[Port, ...] = ()
    disk: str = ""
    check: str = ""
    told: bool = False
    needs: tuple[str, ...] = ()
    secret: str = ""
    machine: bool = False


@dataclass(frozen=True)
class Revision:
    """A declaration as it was acknowledged. `incarnation` is of the volume that it was applied on."""

    program: Program
    incarnation: int


@dataclass
class WorkloadWish:
    """A workload that exists. `incarnation` is of the volume that it was applied on, `revisions` are its declarations so
    far, `copied` the digests of which one was copied to it and is there; `value_since`: the number of the secret's value
    that was there when it was declared. `left`: what another hand changed and nobody mends, run, link or mount."""

    program: Program
    running: bool = True
    address: str = ""
    incarnation: int = 0
    revisions: tuple[Revision, ...] = ()
    copied: frozenset[str] = frozenset({""})
    value_since: int = 0
    left: str = ""


@dataclass
class DiskWish:
    """A volume that exists. `lines` is what it held when all was quiet; a snapshot's None is content nobody looked at."""

    incarnation: int
    size_mib: int
    lines: Lines = ()
    snapshots: dict[str, Lines | None] = field(default_factory=dict)
    written: set[str] = field(default_factory=set)


@dataclass
class Wishes:
    """One plot's. `calm` while nothing was done to it since all was quiet: then the volume holds what it held."""

    workloads: dict[str, WorkloadWish] = field(default_factory=dict)
    disks: dict[str, DiskWish] = field(default_factory=dict)
    secrets: dict[str, list[str]] = field(default_factory=dict)
    """All values that each secret had, in order. One that was removed has none."""
    incarnations: int = 0
    calm: bool = False

    # --- rules: why an operation must be refused; empty when it must not -----------------------------------------

    def against_running(self, name: str, program: Program) -> str:
        """One that shall run beside the others."""
        for other, wish in self.workloads.items():
            if other != name and wish.running and program.disk and wish.program.disk == program.disk:
                return f"{other} mounts {program.disk}"
        return ""

    def against_apply(self, name: str, program: Program) -> str:
        """A declaration."""
        if program.disk and program.disk not in self.disks:
            return f"there is no volume {program.disk}"
        for other, wish in self.workloads.items():
            theirs = {(port.protocol, port.host_port) for port in wish.program.ports}
            if other != name and theirs & {(port.protocol, port.host_port) for port in program.ports}:
                return f"{other} has a host port of it"
        if program.secret and not self.secrets.get(program.secret):
            return f"there is no secret {program.secret}"
        return self._against_needs(name, program) or self.against_running(name, program)

    def against_rollback(self, name: str) -> str:
        """To the revision before the present one."""
        revisions = self.workloads[name].revisions
        if len(revisions) < 2:
            return "it has no other revision"
        program, incarnation = revisions[-2].program, revisions[-2].incarnation
        disk = self.disks.get(program.disk)
        if program.disk and (disk is None or disk.incarnation != incarnation):
            return f"its volume {program.disk} is gone"
        return self.against_apply(name, program)

    def against_secret(self, verb: str, secret: str) -> str:
        """A change of a secret: Conceal, Rotate or Forget."""
        there = bool(self.secrets.get(secret))
        if verb == "Conceal":
            return "there is one of that name" if there else ""
        if not there:
            return "there is none"
        users = [name for name, wish in self.workloads.items() if wish.program.secret == secret]
        return f"{users} use it" if verb == "Forget" and users else ""

    def _against_needs(self, name: str, program: Program) -> str:
        """Nobody waits for what is not there, but for who waited already; nor for who waits for him."""
        before = self.workloads.get(name)
        for other in program.needs:
            wish = self.workloads.get(other)
            if wish is None and (before is None or other not in before.program.needs):
                return f"there is no {other} to wait for"
            if wish is not None and name in wish.program.needs:
                return f"{other} waits for it"
        return ""

    def against_resize(self, disk: str, size_mib: int) -> str:
        """Volumes only grow, and only while nothing shall run on them."""
        if size_mib < self.disks[disk].size_mib:
            return "it would shrink"
        users = [wish for wish in self.workloads.values() if wish.running and wish.program.disk == disk]
        return "it is used" if users and size_mib > self.disks[disk].size_mib else ""

    def mounts(self, disk: str) -> bool:
        """Whether anybody's declaration names it."""
        return any(wish.program.disk == disk for wish in self.workloads.values())

    # --- what an acknowledgement means ---------------------------------------------------------------------------

    def applied(self, name: str, program: Program, address: str) -> None:
        """It shall run, on the volume that has the name now."""
        disk = self.disks.get(program.disk)
        incarnation = 0 if disk is None else disk.incarnation
        if disk is not None:
            disk.written.add(program.token)
        before = self.workloads.get(name)
        revisions = (*(before.revisions if before is not None else ()), Revision(program, incarnation))
        since = max(0, len(self.secrets.get(program.secret, ())) - 1)
        self.workloads[name] = WorkloadWish(program, True, address, incarnation, revisions, value_since=since)

    def disk_created(self, name: str, size_mib: int) -> None:
        """An empty one, and another than all before."""
        self.incarnations += 1
        self.disks[name] = DiskWish(self.incarnations, size_mib)

    def snapshot_taken(self, disk: str, label: str) -> None:
        """Of what it holds now."""
        self.disks[disk].snapshots[label] = self.disks[disk].lines if self.calm else None

    def restored(self, disk: str, label: str, safety: str) -> None:
        """It holds again what it held; what it held until now is kept."""
        self.snapshot_taken(disk, safety)
        self.disks[disk].lines = self.disks[disk].snapshots[label] or ()

    # --- what must be so -----------------------------------------------------------------------------------------

    def lives(self, wish: WorkloadWish) -> bool:
        """Whether it can run: not on a volume that is gone, nor on another of its name."""
        disk = self.disks.get(wish.program.disk)
        return (
            wish.running
            and wish.left != "run"
            and (not wish.program.disk or (disk is not None and disk.incarnation == wish.incarnation))
        )

    def may_wait(self, wish: WorkloadWish, ill: Collection[str]) -> bool:
        """Whether it need not have begun: somebody it needs does not run, or is one of those who are `ill`. What began
        before that runs on."""
        for name in wish.program.needs:
            other = self.workloads.get(name)
            if other is None or name in ill or not self.lives(other) or self.may_wait(other, ill):
                return True
        return False

    def holder(self, disk: str, living: Collection[str]) -> WorkloadWish | None:
        """Who runs on the volume, of those who live."""
        users = (wish for name, wish in self.workloads.items() if wish.program.disk == disk and name in living)
        return next(users, None)
