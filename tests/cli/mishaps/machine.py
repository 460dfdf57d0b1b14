"""The machine itself is in trouble: its daemon, its runtime, its disk, its memory. Each on a machine of its own."""

import os
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.mishaps.stage import Stage
from tests.support.daemon import SERVE, daemon, manifest
from tests.support.nobody import as_user
from tests.support.site import site
from tests.support.small_disk import SmallDisk, small_disk, use_up

WARNINGS = "capsulectl capsule info >/dev/null"
MORE = manifest("more", SERVE)


@contextmanager
def _another(stage: Stage, without: str = "", instead: str = "") -> Iterator[Stage]:
    """A machine that lacks a program, or has this script in its place."""
    with site() as place, daemon(start=False, inside=(*place.inside, *_programs(stage, without, instead))) as capsule:
        capsule.start()
        yield stage.beside(place, capsule)


def _programs(stage: Stage, without: str, instead: str) -> tuple[str, ...]:
    if not without:
        return ()
    programs = stage.place / "programs"
    programs.mkdir()
    for directory in reversed(os.environ["PATH"].split(":")):
        for program in Path(directory).glob("*"):
            (programs / program.name).unlink(missing_ok=True)
            (programs / program.name).symlink_to(program)
    (programs / without).unlink(missing_ok=True)
    if instead:
        (programs / without).write_text(instead)
        (programs / without).chmod(0o755)
    return "env", f"PATH={programs}"


@contextmanager
def _on_a_small_disk(stage: Stage) -> Iterator[tuple[Stage, SmallDisk]]:
    """A machine whose state has a disk of its own; one workload runs."""
    with tempfile.TemporaryDirectory(prefix="capsule-disk-") as scratch, small_disk(Path(scratch)) as disk:
        stage.stands_for(disk.mount, "disk")
        with site() as place, daemon(inside=place.inside, state=disk.mount / "state") as capsule:
            capsule.push_image()
            other = stage.beside(place, capsule)
            other.runs("web", SERVE)
            yield other, disk


def daemon_stopped(stage: Stage) -> None:
    """The daemon has ended."""
    with _another(stage) as house:
        house.capsule.stop()
        house.types("list")


def daemon_twice(stage: Stage) -> None:
    """A second daemon on the same state."""
    with _another(stage) as house:
        house.stands_for(house.capsule.process.pid if house.capsule.process else 0, "pid")
        house.shell(f"capsuled --state {house.capsule.state} --listen none")


def daemon_without_rights(stage: Stage) -> None:
    """The daemon is started by somebody who may not."""
    options = "--state {} --listen none"
    line = f"{shlex.join(as_user(65534))} capsuled {options.format(stage.place / 'nobody-s')}"
    stage.shell(line, f"setpriv --reuid 65534 --clear-groups capsuled {options.format('/tmp/nobody-s')}")


def daemon_gone_in_the_midst(stage: Stage) -> None:
    """The daemon dies while its output is followed."""
    with _another(stage) as house:
        house.capsule.push_image()
        house.runs("web", SERVE)
        pid = house.capsule.process.pid if house.capsule.process else 0
        house.stands_for(pid, "pid")
        house.shell(f"set -o pipefail; capsulectl logs web -f | (read line; echo $line; kill -KILL {pid}; cat)")


def runtime_away(stage: Stage) -> None:
    """containerd does not come up."""
    with _another(stage, "containerd", "#!/bin/sh\nexec sleep 1000\n") as house:
        house.capsule.until(lambda: "containerd" in house.capsule.ctl("capsule", "info").stderr, "it is warned of")
        house.shell(WARNINGS)
        house.file("web.tar", b"x" * 2048)
        house.types("image", "push", "web.tar")


def no_emulator(stage: Stage) -> None:
    """The machine has nothing that runs microVMs."""
    with _another(stage, "qemu-system-x86_64") as house:
        house.capsule.push_image()
        house.file("web.yaml", "name: web\nkind: MicroVM\nmicroVm: {image: 'demo:1'}\n")
        house.types("apply", "-f", "web.yaml")


def no_slots(stage: Stage) -> None:
    """A hosted capsule is asked what only a whole machine can do."""
    stage.types("update", "status")
    stage.types("capsule", "reboot", "--yes")
    stage.file("update.tar", b"x" * 2048)
    stage.types("update", "push", "update.tar", "--yes")


def disk_full(stage: Stage) -> None:
    """The disk under its state is full."""
    with _on_a_small_disk(stage) as (house, disk):
        disk.fill()
        use_up(house.capsule)
        house.file("big.yaml", manifest("big", SERVE, args=["x" * 100_000] * 3), shown=False)
        house.types("apply", "-f", "big.yaml")
        house.shell(WARNINGS)
        house.types("stop", "web")


def disk_read_only(stage: Stage) -> None:
    """The disk under its state cannot be written any more."""
    with _on_a_small_disk(stage) as (house, disk):
        disk.fail()
        house.capsule.ctl("apply", "-f", "-", stdin=MORE)
        house.capsule.until(lambda: "read-only: " in house.capsule.ctl("capsule", "info").stderr, "it goes on")
        house.shell(WARNINGS)
        house.types("apply", "-f", "-", input=MORE)
        house.types("list", "-o", "name")
        house.types("stop", "web")


def memory_damaged(stage: Stage) -> None:
    """Bytes of its memory were altered."""
    with _another(stage) as house:
        house.capsule.push_image()
        house.runs("web", SERVE)
        last = house.capsule.history()[-1]["seq"]
        house.runs("later", SERVE)
        house.capsule.stop()
        for name in ("data.mdb", "front.log"):
            file = house.capsule.state / "journal" / name
            file.write_bytes(file.read_bytes().replace(b"later", b"l8ter"))
        house.capsule.start()
        house.stands_for(last, "seq")
        house.stands_for(last + 1, "seq+1")
        house.shell(WARNINGS)
        house.types("apply", "-f", "-", input=MORE)
        house.types("list", "-o", "name")


def memory_of_no_machine(stage: Stage) -> None:
    """What is to be read as a journal is none; what is to be restored is no export."""
    stage.types("journal", "verify", "--dir", ".")
    stage.file("memory.capsule", b"PK\x03\x04 something else")
    stage.types("journal", "import", "memory.capsule", "--dir", "new")
    stage.types("restore", "memory.capsule", "--yes")


MISHAPS = (
    daemon_stopped, daemon_twice, daemon_without_rights, daemon_gone_in_the_midst, runtime_away, no_emulator, no_slots,
    disk_full, disk_read_only, memory_damaged, memory_of_no_machine,
)  # fmt: skip
