"""What is on the machine of a capsule, asked of the kernel and of containerd's own command line; nothing of the product's.

Only where things lie is taken from the layout.
"""

import contextlib
import json
import os
import re
import socket
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.daemon import Daemon
from tests.support.site import Site

CGROUPS = Path("/sys/fs/cgroup")
_IMAGE = re.compile(r"(?P<name>[^.@]+)\.(?P<uid>\d+)(?P<snapshot>@\d+)?\.img")


class Unquiet(Exception):
    """Raised when something cannot be asked just now: containerd is starting."""


@dataclass
class World:
    """Everything there is. Containers, shims, bundles, cgroups and microVMs' monitors (their processes) are by id
    (`NAME.UID.RUN`); `secrets` counts each workload's places in memory, `attached` are files of volumes that monitors
    have open, `machine_files` counts what lies of each microVM: its run (by id), its layers (by name)."""

    containers: dict[str, str] = field(default_factory=dict)
    shims: Counter[str] = field(default_factory=Counter)
    bundles: set[str] = field(default_factory=set)
    cgroups: dict[str, set[str]] = field(default_factory=dict)
    layers: list[str] = field(default_factory=list)
    programs: Counter[str] = field(default_factory=Counter)
    mounts: list[str] = field(default_factory=list)
    loops: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    snapshots: Counter[str] = field(default_factory=Counter)
    secrets: Counter[str] = field(default_factory=Counter)
    directories: set[str] = field(default_factory=set)
    bridge: list[str] = field(default_factory=list)
    veths: list[str] = field(default_factory=list)
    addresses: dict[str, list[str]] = field(default_factory=dict)
    taps: list[str] = field(default_factory=list)
    monitors: dict[str, int] = field(default_factory=dict)
    attached: list[str] = field(default_factory=list)
    machine_files: Counter[str] = field(default_factory=Counter)
    sockets: int = 0
    payloads: int = 0
    table: bool = False
    elements: dict[tuple[str, int], tuple[str, int]] = field(default_factory=dict)


def _is_program(pid: str) -> bool:
    """Whether a process lives and is not runc's own any more, which waits to become the program."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return bool(words) and not words.startswith(b"runc\0init")


class Observer:
    """Looks at one capsule on a site."""

    def __init__(self, site: Site, capsule: Daemon, run: Path, parent: str, mark: str) -> None:
        self._site, self._capsule, self._run, self._parent, self._mark = site, capsule, run, parent, mark

    def look(self) -> World:
        """Everything, one after another; whoever compares must look again if something moved. Raises Unquiet."""
        world = World()
        self._containers(world)
        self._processes(world)
        self._machines(world)
        self._mounts(world)
        self._files(world)
        self._links(world)
        self._rules(world)
        return world

    def page(self, address: str, port: int, path: str = "") -> str | None:
        """What a web server says, asked from the machine itself; None when nobody answers, or there is no such page."""

        def fetch() -> str | None:
            try:
                with socket.create_connection((address, port), timeout=2) as stream:
                    stream.sendall(f"GET /{path} HTTP/1.0\r\n\r\n".encode())
                    head, _, body = b"".join(iter(lambda: stream.recv(4096), b"")).partition(b"\r\n\r\n")
            except OSError:
                return None
            return body.decode().rstrip("\n") if head.split()[1:2] == [b"200"] else None

        return self._site.on_thread(fetch)

    # --- the parts -----------------------------------------------------------------------------------------------

    def _ctr(self, *arguments: str) -> list[list[str]]:
        command = ["ctr", "-a", f"{self._run}/containerd.sock", "--connect-timeout", "2s", "-n", "capsule", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        if done.returncode:
            raise Unquiet(done.stderr.strip()[-200:])
        return [line.split() for line in done.stdout.splitlines()[1:] if line.strip()]

    def _containers(self, world: World) -> None:
        world.containers = {words[0]: "no task" for words in self._ctr("containers", "list")}
        for cid, pid, status in self._ctr("tasks", "list"):
            # A `start` that is cut once it has let the process go leaves a task that its shim calls created for ever.
            world.containers[cid] = "RUNNING" if status == "CREATED" and _is_program(pid) else status
        world.layers = [words[0] for words in self._ctr("snapshots", "list") if words[-1] == "Active"]
        for place in (
            self._run / "state" / "io.containerd.runtime.v2.task" / "capsule",
            self._run / "runc" / "capsule",
        ):
            world.bundles |= {one.name for one in place.iterdir()} if place.exists() else set()
        for top in (CGROUPS, *(one for one in CGROUPS.iterdir() if one.is_dir())):
            group = top / self._parent
            if group.exists():
                world.cgroups[top.name] = {one.name for one in group.iterdir() if one.is_dir()}

    def _processes(self, world: World) -> None:
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if len(words) > 3 and words[:2] == ["sh", "-c"] and words[3].startswith(f"{self._mark}-"):
                world.programs[words[3]] += 1
            elif "shim" in words[0] and f"{self._run}/containerd.sock" in words and "-id" in words:
                world.shims[words[words.index("-id") + 1]] += 1

    def _machines(self, world: World) -> None:
        volumes = str(self._capsule.state / "volumes")
        for pid, title in self.monitors():
            world.monitors[title] = pid
            for one in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    if (file := os.readlink(one)).startswith(volumes):
                        world.attached.append(Path(file).name)
        for entry in (self._capsule.state / "microvms").glob("*/*/*"):
            is_run = entry.name.isdecimal()
            world.machine_files[".".join(entry.parts[-3:]) if is_run else entry.parts[-3]] += 1
        world.sockets = len(list((self._run / "microvms").glob("*.agent")))
        world.payloads = len(list((self._capsule.state / "payloads").glob("*.img")))

    def monitors(self) -> list[tuple[int, str]]:
        """The processes that are microVMs of this capsule, with what each calls its machine."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                is_monitor = words[0].rpartition("/")[2].startswith("qemu-system") and "-name" in words
                if is_monitor and f"/{self._parent}/" in (entry / "cgroup").read_text():
                    found.append((int(entry.name), words[words.index("-name") + 1]))
        return found

    def _mounts(self, world: World) -> None:
        with open(f"/proc/{self._site.pid}/mountinfo") as file:
            points = [line.split()[4] for line in file]
        places = (str(self._run), str(self._capsule.state))
        world.mounts = sorted(point for point in points if point.startswith(places))
        listed = json.loads(subprocess.run(["losetup", "-J", "-l"], capture_output=True, text=True).stdout or "{}")
        behind = [one["back-file"] or "" for one in listed.get("loopdevices", [])]
        world.loops = sorted(file for file in behind if file.startswith(str(self._capsule.state)))

    def _files(self, world: World) -> None:
        for path in sorted((self._capsule.state / "volumes").glob("*")):
            match = _IMAGE.fullmatch(path.name)
            if match is not None and match["snapshot"]:
                world.snapshots[match["name"]] += 1
            else:
                world.images.append(path.name)
        places = Path(f"/proc/{self._site.pid}/root{self._run}/memory/secrets")
        world.secrets = Counter(place.parent.name for place in places.glob("*/*"))
        for part in ("logs", "containers", "microvms"):
            place = self._capsule.state / part
            names = (one.name for one in place.iterdir() if one.name[0] != ".") if place.exists() else ()
            world.directories |= set(names)

    def _ip(self, *arguments: str, inside: tuple[str, ...] = ()) -> Any:
        done = self._site.run(*inside, "ip", "-j", "-d", *arguments)
        if done.returncode:
            raise Unquiet(done.stderr)
        return json.loads(done.stdout or "[]")

    def _links(self, world: World) -> None:
        for link in self._ip("address"):
            kind = link.get("linkinfo", {}).get("info_kind")
            if kind == "bridge":
                world.bridge += _ipv4(link)
            elif kind == "veth":
                world.veths.append(link["ifname"])
            elif kind == "tun":
                world.taps.append(link["ifname"])
        place = self._run / "netns"
        for namespace in sorted(place.iterdir()) if place.exists() else ():
            try:
                inside = self._ip("address", inside=("nsenter", f"--net={namespace}", "--"))
            except Unquiet:
                inside = []
            world.addresses[namespace.name] = [one for link in inside if link["ifname"] != "lo" for one in _ipv4(link)]

    def _rules(self, world: World) -> None:
        listed = self._site.run("nft", "-j", "list", "ruleset")
        if listed.returncode:
            raise Unquiet(listed.stderr)
        for item in json.loads(listed.stdout)["nftables"]:
            world.table |= "table" in item
            if "map" in item:
                protocol = item["map"]["name"].partition("_")[0]
                for key, value in item["map"].get("elem", ()):
                    address, port = value["concat"]
                    world.elements[protocol, key] = (address, port)


def _ipv4(link: dict[str, Any]) -> list[str]:
    return [f"{one['local']}/{one['prefixlen']}" for one in link["addr_info"] if one["family"] == "inet"]


def lines_of(run: Path, pid: int, image: str) -> tuple[str, ...]:
    """A mounted volume's history. `pid`: a process of the site; `image`: the file's name."""
    path = f"/proc/{pid}/root{run}/volumes/{image.removesuffix('.img')}/lines"
    return tuple(Path(path).read_text().split()) if os.path.exists(path) else ()
