"""Order from fast to slow, and what a test may need of the machine."""

import os
import shutil
import signal
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# No test asserts a time, and no machine is always idle.
settings.register_profile(
    "capsule",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    # The same examples each time, whatever was found before on this machine; `--hypothesis-profile explore` has others.
    derandomize=True,
    database=None,
    print_blob=True,
)
settings.register_profile("explore", settings.get_profile("capsule"), derandomize=False)
settings.load_profile("capsule")

# How wide a window is, is what its terminal says, not who runs the tests or divides them among processes.
for _width in ("COLUMNS", "LINES"):
    os.environ.pop(_width, None)

# In the background of a shell this process has SIGINT ignored, and so would have all that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

ENDING_S = 120
"""Who divides the tests among processes and is interrupted gives these so long to stop what their tests have started; of
itself it would kill them after ten seconds."""
ORDER = ("unit", "histories", "simulation", "contract", "cli", "integration", "boot")
NEEDED = {
    "real": ("root", "containerd", "runc", "busybox"),
    "boot": ("root", "qemu-system-x86_64", "mmdebstrap", "mksquashfs", "grub-mkimage", "mcopy", "sfdisk", "busybox"),
}
"""By the marks of whole kinds; what a test needs besides stands in its own mark, `needs`."""


def pytest_configure(config: pytest.Config) -> None:
    if config.pluginmanager.hasplugin("dsession"):
        from xdist.workermanage import NodeManager

        NodeManager.EXIT_TIMEOUT = ENDING_S


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Kinds in their order; what needs something that is not here is skipped by name."""
    root = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        kind = item.path.relative_to(root).parts[0]
        return ORDER.index(kind) if kind in ORDER else len(ORDER)

    items.sort(key=rank)
    for item in items:
        needed = [name for marker, names in NEEDED.items() if marker in item.keywords for name in names]
        needed += [name for mark in item.iter_markers("needs") for name in mark.args]
        lacks = [name for name in dict.fromkeys(needed) if not is_here(name)]
        if lacks:
            item.add_marker(pytest.mark.skip(reason=f"this machine lacks {', '.join(lacks)}"))


@cache
def is_here(name: str) -> bool:
    """A program, or the rights of root."""
    return os.geteuid() == 0 if name == "root" else shutil.which(name) is not None
