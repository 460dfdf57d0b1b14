"""The private containerd, configured and kept running: by the daemon, by `--halt`, and by tests."""

import asyncio
import functools
import logging
from pathlib import Path

from capsuled.processes import CAP_DELAY_S, supervise
from capsuled.undumped import CoreLimit
from effects.containerd.config import Paths, render
from effects.containerd.leftovers import sweep
from effects.containers.bundles import Bundles
from effects.memory import mount_memory

log = logging.getLogger(__name__)


async def keep_containerd(
    paths: Paths, log_file: Path, cap_delay_s: float = CAP_DELAY_S, core_limit: CoreLimit | None = None
) -> None:
    """Run it until cancelled; what one that was killed left behind is removed before the next. After ends in a row it
    stays down for `cap_delay_s` at most, and for so long where it cannot even be started. `core_limit` is its and the
    containers'.
    """
    while True:
        try:
            await _keep(paths, log_file, cap_delay_s, core_limit)
        except (OSError, RuntimeError) as error:  # no room, a disk that takes nothing, no process, or no thread for it
            log.error("containerd cannot be started: %s. No container starts meanwhile; it is tried again", error)
        await asyncio.sleep(cap_delay_s)


async def _keep(paths: Paths, log_file: Path, cap_delay_s: float, core_limit: CoreLimit | None) -> None:
    for directory in (paths.config.parent, paths.address.parent, log_file.parent):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    mount_memory(paths.memory)
    Bundles(paths).prepare()
    text = render(paths)
    if not paths.config.exists() or paths.config.read_text() != text:  # which a read-only disk would refuse
        paths.config.write_text(text)
    await supervise(
        ["containerd", "--config", str(paths.config)],
        log_file,
        before=functools.partial(sweep, paths),
        cap_delay_s=cap_delay_s,
        # In /tmp else: what an exec's process is given, its environment too, goes from the shim to runc in a file.
        environment={"XDG_RUNTIME_DIR": str(paths.memory)},
        core_limit=core_limit,
    )
