"""What has to be done inside a run that has a kernel of its own, because nobody can do it from outside.

A container sees what is mounted into it, as it changes, and its volumes are file systems of this machine. A microVM's
guest has copies of its secrets, and mounts its volumes itself. Every method may be called again after any crash.
"""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from effects.secrets.protocol import SecretDirectory
from projections.storage import Fill


class Guests(Protocol):
    """The guests of runs that are alive. All raise NotRunning, and RuntimeUnavailable when a guest does not answer."""

    async def renew_secrets(self, name: str, uid: int, run: int, secrets: tuple[SecretDirectory, ...]) -> None:
        """The run has at the places of its secrets what these directories hold now; a reader sees each file whole, as
        it was or as it is."""
        ...

    def frozen(self, name: str, uid: int, run: int, target: str) -> AbstractAsyncContextManager[None]:
        """Inside, what the run wrote to its volume at `target` is on the volume, whole, and nothing is written to it.
        It goes on afterwards, also after a crash in between. Raises GuestFailed afterwards when it went on before."""
        ...

    async def usage(self, name: str, uid: int, run: int, target: str) -> Fill | None:
        """How full the file system of the run's volume at `target` is; None when the guest does not say."""
        ...
