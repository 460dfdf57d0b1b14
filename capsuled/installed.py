"""What an installer leaves on the disk that it made, for the first start there: who this capsule is, and whose key may
drive it.

    identity/capsule_id, identity/tls.pem    as the installer showed them
    identity/installed                       what the history begins with; gone once it does

A disk whose word on that cannot be read is no machine that anybody may adopt: it does not start.
"""

from pathlib import Path

import msgspec

from capsuled.identity import Identity
from capsuled.layout import Layout
from capsuled.tls import Certificate
from journal.durable import sync_directory, write_durably
from journal.entry import Actor
from journal.events import MachineInstalled, OperatorEnrolled
from projections.state import Machine

INSTALLER = Actor("installer")


class Installed(msgspec.Struct, frozen=True):
    """By which release, on which disk. Without a key the machine is adopted as one is that was never installed."""

    release: str
    disk: str
    kid: str = ""
    public_key: str = ""
    operator: str = ""

    def events(self, machine: Machine) -> tuple[MachineInstalled | OperatorEnrolled, ...]:
        """The first facts of the first life; none where the history has begun, which a crash kept from being cleared.
        Pure."""
        if machine.boot is not None:
            return ()
        installed = MachineInstalled(self.release, self.disk, sealed=bool(self.kid))
        if not self.kid:
            return (installed,)
        return (
            installed,
            OperatorEnrolled(self.kid, self.public_key, self.operator, role="admin", how="installed"),
        )


class BadSeal(OSError):
    """Raised when what the installer left cannot be read."""


def lay_down(state: Path, identity: Identity, certificate: Certificate, installed: Installed) -> None:
    """On the disk when this returns. Raises OSError."""
    layout = Layout(state, state)
    layout.identity.mkdir(mode=0o700, exist_ok=True)
    write_durably(layout.identity / "capsule_id", identity.capsule_id.encode() + b"\n")
    write_durably(layout.certificate, certificate.key_pem + certificate.certificate_pem)
    write_durably(layout.installed, msgspec.json.encode(installed))
    sync_directory(layout.identity)
    sync_directory(state)


def laid_down(layout: Layout) -> Installed | None:
    """What waits to be told of. Raises BadSeal."""
    try:
        return msgspec.json.decode(layout.installed.read_bytes(), type=Installed)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        message = "what the installer left here cannot be read: install the machine anew, with `--reinstall`"
        raise BadSeal(0, message, str(layout.installed)) from error


def clear(layout: Layout) -> None:
    """It is in the journal. Raises OSError."""
    layout.installed.unlink(missing_ok=True)
    sync_directory(layout.identity)
