"""What an installer shows on the console: how it is reached, what it could be installed on, and how far it is. Pure."""

from capsuled.boot.console import WIDTH, address_lines, fingerprint_lines, wrapped
from capsuled.installer.service import Progress
from capsuled.installer.targets import Target
from projections.words import bytes_text

STEP_PERCENT = 10
"""A console may be a slow line: it is told of every tenth."""


def screen(
    short_id: str,
    version: str,
    addresses: tuple[str, ...],
    unreached: str,
    fingerprint: str,
    there: tuple[Target, ...],
    progress: Progress,
    hidden: int = 0,
) -> str:
    """The text, in lines; `unreached` is why there is no address, `hidden` how many disks the firmware hides."""
    lines = [
        f"INSTALLER ({short_id}){'' if progress.disk else ': nothing is written until somebody installs'}",
        "",
        *address_lines(addresses, unreached),
        *fingerprint_lines(fingerprint),
        f"  system       {version}",
        *_disks(there),
        *(f"  ! {line}" for said in (*_state(progress, addresses, there), *_hidden(hidden)) for line in wrapped(said)),
    ]
    return "\n".join(["=" * WIDTH, *lines, "=" * WIDTH])


def _disks(there: tuple[Target, ...]) -> list[str]:
    """Each in lines of its own, behind one word for all of them."""
    lines = [line for one in there for line in wrapped(_disk(one), WIDTH - 15)]
    return [f"  {'' if index else 'disks':<12} {line}" for index, line in enumerate(lines)]


def _disk(one: Target) -> str:
    about = f"{one.disk.device}, {bytes_text(one.disk.size_bytes)}: {one.holds}"
    return f"{about} ({one.problem})" if one.problem else about


def _hidden(number: int) -> tuple[str, ...]:
    if not number:
        return ()
    what = "a disk is" if number == 1 else f"{number} disks are"
    return (
        f"{what} hidden by the firmware: set its SATA mode from RAID (Intel RST) to AHCI, and start the machine anew",
    )


def _state(progress: Progress, addresses: tuple[str, ...], there: tuple[Target, ...]) -> tuple[str, ...]:
    if progress.done:
        return (f"{progress.disk} is installed. Take out the disk that this installer runs from",)
    if progress.step is not None:
        percent = progress.step.percent // STEP_PERCENT * STEP_PERCENT
        return (f"{progress.disk} is being installed on: {progress.step.phase}, {percent} %",)
    address = addresses[0] if addresses else "ADDRESS"
    said = [f"on another machine: capsulectl install {address}"]
    if progress.failed:
        said.insert(0, f"{progress.disk} was not installed and does not boot: {progress.failed}")
    capsules = [one.disk.device for one in there if one.is_capsule]
    if capsules:
        said.append(f"to boot {' or '.join(capsules)}, take out the disk that this installer runs from")
    return tuple(said)
