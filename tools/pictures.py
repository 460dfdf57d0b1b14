"""`make pictures`: the pictures of docs/ made anew, of a machine on which something has happened, in a real browser.

The machine has a network and a name of its own, so that nothing of this one is in the pictures.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.browser import Browser, browser
from tests.support.daemon import Daemon, daemon
from tests.support.household import tell
from tests.support.site import site
from tools import root
from tools.png import small

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / "docs" / "pictures"
NAMED = ("unshare", "--uts", "sh", "-c", 'hostname attic && exec "$@"', "sh")


@contextmanager
def page(capsule: Daemon, seen: Browser) -> Iterator[None]:
    """The page, once the machine is shown."""
    command: list[str | Path] = [Path(sys.executable).parent / "capsulectl", "ui", "-q"]
    process = subprocess.Popen(command, env=os.environ | capsule.environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        seen.open(process.stdout.readline().strip())
        seen.until("document.querySelectorAll('#workloads > li').length")
        yield
    finally:
        process.terminate()
        process.wait()


def expand(seen: Browser, name: str) -> None:
    """A workload's card, with its `why`."""
    seen.run(f"[...document.querySelectorAll('.name')].find(one => one.textContent === '{name}').click()")
    seen.until("document.querySelector('.why .conclusion')")


def keep(seen: Browser, name: str) -> None:
    """What is seen, as a file."""
    (PLACE / f"{name}.png").write_bytes(small(seen.picture()))


def shoot(capsule: Daemon, seen: Browser) -> None:
    """Now; then, with what was wrong; and in the hand, in the dark."""
    seen.window(1280, 860)
    seen.prefers(reduced_motion="reduce")
    with page(capsule, seen):
        keep(seen, "ui-now")
        ended = [one for one in capsule.history("weather", "--failed") if one["type"] == "workload.exited"]
        seen.run(f"document.getElementById('go-to').value = '{ended[2]['seq']}'")
        seen.run("document.getElementById('go').requestSubmit()")
        seen.until(f"document.getElementById('moment').dataset.shown === 'entry {ended[2]['seq']}'")
        seen.run("document.getElementById('go-to').value = ''")
        expand(seen, "weather")
        seen.window(1280, 1180)
        keep(seen, "ui-then")
        seen.window(390, 844)
        seen.prefers(color_scheme="dark", reduced_motion="reduce")
        seen.run("scrollTo(0, 0)")
        keep(seen, "ui-narrow")


def main() -> None:
    """All of them."""
    root.require()
    PLACE.mkdir(exist_ok=True)
    with site() as place, daemon(inside=(*place.inside, *NAMED)) as capsule, browser() as seen:
        capsule.push_image()
        tell(capsule)
        shoot(capsule, seen)
    for one in sorted(PLACE.iterdir()):
        print(f"{one.relative_to(ROOT)}: {one.stat().st_size >> 10} KiB")


if __name__ == "__main__":
    main()
