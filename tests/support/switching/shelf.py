"""What runs begin with, each made once and kept: the built images, a prepared machine, the log of its life, releases that
are no good; and of these a disk on which one of those has just been pushed."""

import asyncio
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from random import Random

from msgspec.structs import replace

from effects.slots.grub_loader import GrubLoader
from effects.slots.manifest import MEMBERS
from image.disk import ESP_MIB
from tests.support.booted import ROOT, built
from tests.support.power.disk_log import Wound
from tests.support.switching.judge import PARTITIONS, Members, piece_of
from tests.support.switching.life import Step, live, steps
from tests.support.switching.machine import Facts, facts_of, lay, over, partition_at, prepare
from tests.support.switching.releases import GOOD, Release, made


class Shelf:
    """In a directory. Whatever was interrupted while it was made is made anew."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.scratch = place / "scratch"

    def close(self) -> None:
        """What is in the way of nobody's next call goes: the last run's disk, and the one that was wound."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        if "wound" in vars(self):
            self.wound.close()

    def fresh_scratch(self) -> Path:
        """An empty directory, for one run."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(parents=True)
        return self.scratch

    def _made(self, name: str, make: Callable[[Path], None]) -> Path:
        target, begun = self.place / name, self.place / f"{name}.begun"
        if not target.exists():
            shutil.rmtree(begun, ignore_errors=True)
            begun.mkdir(parents=True)
            make(begun)
            begun.rename(target)
        return target

    @property
    def images(self) -> Path:
        """The built disk, and both images of its slot."""

        def make(target: Path) -> None:
            subprocess.run(["cp", "--sparse=always", built(), target / "disk.raw"], check=True)
            with tarfile.open(ROOT / "build/update.tar") as tar:
                tar.extractall(target, [tar.getmember(name) for name in MEMBERS])  # our own

        return self._made("images", make)

    @property
    def prepared(self) -> Path:
        """See machine.prepare."""
        images = self.images
        return self._made("prepared", lambda target: prepare(target, images / "disk.raw"))

    @cached_property
    def facts(self) -> Facts:
        """Of the prepared machine."""
        return facts_of(self.prepared)

    @cached_property
    def members(self) -> Members:
        """What a slot holds that is whole."""
        return Members.of({name: self.images / name for name in MEMBERS})

    @cached_property
    def wound(self) -> Wound:
        """The disk of the life, to be wound to any of its moments."""
        bundle = self.bundle(GOOD)
        life = self._made("life", lambda target: live(self.prepared, bundle, target))
        return Wound(self.prepared / "disk.raw", life / "log", self.place / "wound.raw")

    @cached_property
    def steps(self) -> list[Step]:
        """Of that life."""
        return steps(self.wound, self.facts)

    def bundle(self, release: Release) -> Path:
        """Of a release."""
        images, cache = self.images, ROOT / "build/cache"

        def make(target: Path) -> None:
            made(release, images, cache, target / "update.tar")

        return self._made(f"release-{release.name}", make) / "update.tar"

    @contextmanager
    def pushed(self, release: Release) -> Iterator[str]:
        """Meanwhile there is a disk, in QEMU's words, on which this release was just pushed and armed: that of the life
        at that moment, with this one's images where the good one's were written, and with its window."""
        armed = next(step for step in self.steps if step.what == "update.armed")
        disk = self.scratch / "disk.qcow2"
        with self.wound.cut(armed.at + 1, "all", Random(0)):
            drive = over(self.wound.file, "raw", disk)
            piece_of(self.wound.file, partition_at(1), ESP_MIB << 20, self.scratch / "esp.img")
            asyncio.run(_with_window(GrubLoader(self.scratch / "esp.img"), release.window_s))
            lay(disk, partition_at(1), self.scratch / "esp.img")
            with tarfile.open(self.bundle(release)) as tar:
                for name in MEMBERS:
                    tar.extract(name, self.scratch)  # our own
                    lay(disk, partition_at(PARTITIONS["slot_b", name]), self.scratch / name)
            yield drive


async def _with_window(loader: GrubLoader, seconds: int) -> None:
    await loader.write(replace(await loader.read(), window_s=seconds))
