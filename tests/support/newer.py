"""A newer release of the built system: it writes events that this one does not know, one that only tells and one that
must be understood, and its containerd keeps its records in another form, a file that this one's refuses.
"""

import subprocess
from pathlib import Path

from effects.slots.manifest import FORMATS, Levels
from journal.codec import reader_level
from journal.release import RELEASE
from projections.views import VIEWS

_MAJOR, _MINOR, _PATCH = RELEASE.split(".")
NEXT, AFTER_NEXT = (f"{_MAJOR}.{_MINOR}.{int(_PATCH) + further}" for further in (1, 2))
"""The versions that come behind this release."""
TELLS, MUST = "weather.noticed", "weather.decreed"
LEVELS = Levels(
    {**reader_level(), TELLS: 1, MUST: 1}, tuple(sorted(VIEWS)), {**FORMATS, "containerd": FORMATS["containerd"] + 1}
)

_EVENTS = f'''
class WeatherNoticed(Event, frozen=True, omit_defaults=True, tag="{TELLS}"):
    """It only tells."""

    EFFECT = "may"

    sky: str = ""


class WeatherDecreed(Event, frozen=True, omit_defaults=True, tag="{MUST}"):
    """It must be understood."""

    sky: str = ""


EVENT_TYPES:'''
_CONTAINERD = """#!/bin/sh
records=/perm/containerd/root/io.containerd.metadata.v1.bolt
if ! grep -q " $records/meta.db " /proc/self/mountinfo; then
    if ! grep -q "^form 2" $records/meta.db 2>/dev/null; then
        mkdir -p $records
        mv $records/meta.db $records/meta2.db 2>/dev/null || : >$records/meta2.db
        echo "form 2" >$records/meta.db
    fi
    mount --bind $records/meta2.db $records/meta.db
fi
exec /usr/bin/containerd.real "$@"
"""

_CHANGES = {
    "journal/events.py": ("\nEVENT_TYPES:", _EVENTS),
    "projections/describe.py": ("        case DaemonStopped():", '        case _ if "weather" in str(event.__struct_config__.tag):\n'
     '            return "there is weather"\n        case DaemonStopped():'),
    "effects/slots/manifest.py": ('"containerd": 1', '"containerd": 2'),
    "capsuled/updates/fitting.py": (
        "    if fitted.engine is engine and not unconfirmed(engine.machine):\n",
        "    from journal.events import WeatherDecreed\n\n"
        "    if fitted.engine is engine and not unconfirmed(engine.machine):\n"
        '        engine.record((WeatherDecreed("rain"),), reserved=True, actor=SYSTEM)\n',
    ),
    "capsuled/first_entries.py": (
        "    stray = False\n    if found",
        "    from journal.events import WeatherNoticed\n\n"
        '    engine.record((WeatherNoticed("grey"),), reserved=True, actor=SYSTEM)\n'
        "    stray = False\n    if found",
    ),
}  # fmt: skip


def change(house: Path) -> None:
    """Make the sources of a release those of a newer one."""
    for name, (before, after) in _CHANGES.items():
        file = house / name
        text = file.read_text()
        assert text.count(before) == 1, f"{name} has not one {before!r}"
        file.write_text(text.replace(before, after))
        for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*"):
            compiled.unlink()


def newer_root(root: Path, scratch: Path, target: Path) -> None:
    """A root image of the newer release, made of this one's."""
    subprocess.run(["unsquashfs", "-no-progress", "-quiet", "-d", scratch, root], check=True)
    change(scratch / "capsule/house")
    containerd = scratch / "usr/bin/containerd"
    containerd.rename(containerd.with_name("containerd.real"))
    containerd.write_text(_CONTAINERD)
    containerd.chmod(0o755)
    packed = ("-comp", "zstd", "-Xcompression-level", "1", "-quiet", "-no-progress")
    subprocess.run(["mksquashfs", scratch, target, *packed], check=True)
