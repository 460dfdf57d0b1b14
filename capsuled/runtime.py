"""The private containerd, configured and kept running: by the daemon, by `--halt`, and by tests."""

import functools
from pathlib import Path

from capsuled.processes import CAP_DELAY_S, supervise
from effects.containerd.config import Paths, render
from effects.containerd.leftovers import sweep


async def keep_containerd(paths: Paths, log_file: Path, cap_delay_s: float = CAP_DELAY_S) -> None:
    """Run it until cancelled; what one that was killed left behind is removed before the next. After ends in a row it
    stays down for `cap_delay_s` at most. Raises OSError.
    """
    for directory in (paths.config.parent, paths.address.parent, log_file.parent):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = render(paths)
    if not paths.config.exists() or paths.config.read_text() != text:  # which a read-only disk would refuse
        paths.config.write_text(text)
    command = ["containerd", "--config", str(paths.config)]
    await supervise(command, log_file, before=functools.partial(sweep, paths), cap_delay_s=cap_delay_s)
