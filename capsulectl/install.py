"""`capsulectl install`: a machine that booted from a removable disk is installed on a disk inside, for its operator."""

import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from capsulectl import standard_input
from capsulectl.contexts import config_dir, load_local, load_shared, new_name
from capsulectl.errors import USAGE, Failure
from capsulectl.handshake import fingerprint_of
from capsulectl.options import COMMON, Common, Format, Output, Timeout, UntilUp, Yes
from capsulectl.pinning import confirm_fingerprint, free_name, login, met, remember
from capsulectl.progress import bar, filled
from capsulectl.prompt import confirm
from capsulectl.render import plain, printable, say, show_table, write
from projections.words import bytes_text

STATUS_S = 15.0
INSTALL_S = 30 * 60.0
_PHASE_CHARS = 12
_STICK = "another certificate than the installed one: that of the removable disk again?"
"""The installer has a new one with each boot; once the disk is out, the machine may still come up."""


def install(
    address: Annotated[str, Parameter(help="HOST:PORT, as the console shows it; the port is 50000 when left out.")],
    /,
    *,
    target: Annotated[str, Parameter(name="--target", help="The disk to install on; everything on it goes.")] = "",
    list_: Annotated[bool, Parameter(name="--list", negative="", help="Only show the machine's disks.")] = False,
    reinstall: Annotated[
        bool, Parameter(name="--reinstall", negative="", help="Also where there is a capsule already: it is destroyed.")
    ] = False,
    seal: Annotated[
        bool, Parameter(name="--seal", negative="--no-seal", help="Put your key on it, so that it boots adopted.")
    ] = True,
    fingerprint: Annotated[
        str, Parameter(name="--fingerprint", help="The certificate's fingerprint, as the console shows it: not asked.")
    ] = "",
    name: Annotated[
        str | None, Parameter(name="--name", help="The context's name (default: the capsule's short id).")
    ] = None,
    operator: Annotated[
        str, Parameter(name="--operator", help="Your name, as the capsule remembers it (default: login@host).")
    ] = "",
    reboot: Annotated[
        bool, Parameter(name="--reboot", negative="--no-reboot", help="Start the machine anew when it is installed.")
    ] = True,
    wait: UntilUp = True,
    timeout: Timeout = 600.0,
    yes: Yes = False,
    output: Output = "table",
    common: Common = COMMON,
) -> None:
    """Install a capsule on a machine that booted from a removable disk with its image.

    The disk is chosen by name, and everything on it is given up. Your key, made for this machine, and the certificate
    that the installer shows are put onto it, so that it boots adopted, and you have a context for it.

    Example: capsulectl install 192.168.1.20 --target /dev/nvme0n1
    """
    wanted = None if name is None else _fit(new_name(name))
    address, der = met(address)
    shown = fingerprint_of(der)
    installer = _Installer(address, der)
    status = installer.status()
    if list_:
        _show(status, output)
        return
    if wanted and seal:
        _refuse_taken(wanted, status.capsule_id)
    disk = _chosen(target, status)
    confirm_fingerprint(address, shown, fingerprint, yes)
    confirm(_question(disk, status, reinstall), yes)
    name = wanted or free_name(status.capsule_id, f"capsulectl install {address}")
    result, path = installer.install(disk, operator or login(), seal, reinstall, reboot, name, common.quiet)
    if (result.capsule_id, result.tls_fingerprint_sha256) != (status.capsule_id, shown):
        raise Failure(
            f"REFUSED: {address} says that it installed {result.capsule_id} with the certificate "
            f"{result.tls_fingerprint_sha256}, and showed {status.capsule_id} with {shown}: somebody stands in "
            "between. No context was made; look at the machine's console"
        )
    if not seal:
        say(f"{disk} is installed. Whoever asks first adopts it: `capsulectl adopt {address}`", common.quiet)
        return
    from capsulectl.secure import keep

    try:
        keep(der)
        remember(name, address, result.capsule_id, shown, str(path))
    except Failure as failure:
        raise Failure(_unremembered(failure, disk, address, result.capsule_id, shown, path), failure.code) from failure
    say(f"{disk} is installed as {name}, which is yours", common.quiet)
    if reboot and wait:
        _wait(name, disk, timeout, common.quiet)
    print(name)


def _fit(name: str) -> str:
    if "/" in name:
        raise Failure(f"{name!r} cannot be a context's name here: the key's file is named after it", USAGE)
    return name


def _refuse_taken(name: str, capsule_id: str) -> None:
    """Before anything is destroyed: a disk that is installed has a key that only a context of ours uses. The installer
    says beforehand which id the capsule gets; that of one which it replaces is another. Raises Failure."""
    other = load_shared()["contexts"].get(name)
    if name in load_local()["contexts"] or (other is not None and other.get("capsule_id") != capsule_id):
        raise Failure(
            f"the context {name} is another capsule's, and nothing was installed: say another --name, or, if you do "
            f"not need that one any more (as the one that you replace), `capsulectl context rm {name}` first",
            USAGE,
        )


def _unremembered(failure: Failure, disk: str, address: str, capsule_id: str, fingerprint: str, path: Path) -> str:
    """Only this key opens what was installed, and `adopt` would come with another: the context is made by hand."""
    import json

    context = {"addr": address, "capsule_id": capsule_id, "tls_fingerprint_sha256": fingerprint, "key_path": str(path)}
    return (
        f"{disk} is installed, but has no context here: {failure.message}.\nThe only key that it takes is {path}: keep "
        f"it. Write below `contexts` in {config_dir() / 'config.yaml'}, under a name that is free:\n"
        f"  NAME: {json.dumps(context)}"
    )


class _Installer:
    """At an address, with the certificate that it showed."""

    def __init__(self, address: str, der: bytes) -> None:
        from capsule.v1.install_pb2_grpc import InstallServiceStub
        from capsulectl.secure import unproven_channel

        self._address = address
        self._der = der
        self._stub = InstallServiceStub(unproven_channel(address, der))

    def status(self) -> Any:
        """Who it is, and its disks. Raises Failure."""
        import grpc

        from capsule.v1 import install_pb2 as pb
        from capsulectl.connection import failure_of

        try:
            return self._stub.Status(pb.InstallStatusRequest(), timeout=STATUS_S)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                raise Failure(
                    f"what answers at {self._address} is a capsule that runs, and no installer: boot the machine from "
                    "a removable disk with the image. (It installs only where a disk inside is large enough.)"
                ) from error
            raise failure_of(error, self._address) from error

    def install(
        self, disk: str, operator: str, seal: bool, reinstall: bool, reboot: bool, name: str, quiet: bool
    ) -> tuple[Any, Path]:
        """Have it done; the result, and where the key is. Raises Failure."""
        import grpc

        from capsule.v1 import install_pb2 as pb
        from capsulectl.connection import failure_of, reason_of
        from capsulectl.operator_key import load_or_make

        path = config_dir() / "keys" / f"{name}.ed25519"
        key = load_or_make(path) if seal else None
        request = pb.InstallRequest(
            target_disk=disk,
            operator_pubkey=key.public if key else b"",
            operator_name=operator,
            seal=seal,
            reinstall=reinstall,
            stay=not reboot,
        )
        result = None
        phase = ""
        try:
            for phase, steps in groupby(self._stub.Install(request, timeout=INSTALL_S), lambda one: one.phase):
                result = _followed(phase, steps, quiet)
        except grpc.RpcError as error:
            if reason_of(error) or not phase:
                raise failure_of(error, self._address) from error
            raise Failure(
                f"the connection to {self._address} broke off ({phase}): {error.details() or error.code().name}. "
                "Unless the console says that it is installed, the disk does not boot: install again. "
                f"{f'Your key is kept in {path}' if key else ''}".rstrip()
            ) from error
        if result is None or (key and result.kid != key.kid):
            raise Failure(f"{self._address} did not say that it is installed with your key: look at its console")
        return result, path


def _followed(phase: str, steps: Iterator[Any], quiet: bool) -> Any:
    """Show one phase until it is over; the result, if it was in it."""
    result = None
    with bar(quiet, _drawn) as show:
        for step in steps:
            show(printable(phase), min(step.percent, 100), 100, printable(step.message))
            result = step.result if step.HasField("result") else None
    if result is None:
        say(f"{printable(phase):<{_PHASE_CHARS}} done", quiet)
    return result


def _drawn(what: str, done: int, total: int, words: str) -> str:
    return f"{what:<{_PHASE_CHARS}} {filled(done, total)} {done:3} %  {words}"


def _show(status: Any, output: Format) -> None:
    if output in ("json", "yaml"):
        write(plain(status), output)
    elif output == "name":
        print("\n".join(map(printable, status.targets)))
    elif not status.disks:
        say(f"the machine has no disk but {printable(status.boot_disk)}, which it booted from")
    else:
        rows = [
            (one.name, bytes_text(one.size_bytes), one.model or "-", one.holds, one.problem or "-")
            for one in status.disks
        ]
        show_table(("DISK", "SIZE", "MODEL", "HOLDS", "PROBLEM"), rows, cut=output != "wide")


def _chosen(target: str, status: Any) -> str:
    """The device that was named, or that the operator names now."""
    if target:
        return _device(target)
    _tell(status)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Failure("say which disk to install on: `--target DISK`", USAGE)
    print("Which disk is it to be installed on? ", end="", file=sys.stderr, flush=True)
    named = standard_input.line().strip()
    if not named:
        raise Failure("no disk was named: nothing was changed")
    return _device(named)


def _device(name: str) -> str:
    return name if name.startswith("/") else f"/dev/{name}"


def _tell(status: Any) -> None:
    for one in status.disks:
        say(f"  {printable(one.name)}  {_about(one)}{f': {printable(one.problem)}' if one.problem else ''}")


def _about(one: Any) -> str:
    return ", ".join(filter(None, (bytes_text(one.size_bytes), printable(one.model), f"holds {printable(one.holds)}")))


def _question(disk: str, status: Any, reinstall: bool) -> str:
    known = next((one for one in status.disks if one.name == disk), None)
    if known is None:
        return f"Everything on {disk} is destroyed. Go on?"
    what = "; the capsule there goes, with all that it remembers" if known.is_capsule and reinstall else ""
    return f"Everything on {known.name} ({_about(known)}) is destroyed{what}. Go on?"


def _wait(name: str, disk: str, timeout_s: float, quiet: bool) -> None:
    from capsulectl.contexts import target
    from capsulectl.power import until_back

    say("the machine starts anew; take out the removable disk", quiet)
    try:
        after = until_back(target(name), "", timeout_s, _STICK)
    except Failure as error:
        raise Failure(
            f"{disk} is installed, and the context {name} made, but the machine did not come up from it (does it boot "
            f"from the removable disk again, or has it another address?): {error.message}",
            error.code,
        ) from error
    say(f"{after.short_id} is up from {after.boot_disk or disk}", quiet)
