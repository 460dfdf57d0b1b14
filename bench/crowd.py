"""Two hundred on the bridge: all of them from one directory, against ctr's two hundred; and one further with them.

Two machines of their own (tests/support/site.py): one is crowded, one empty, so that one further apply is taken on both
in turn. On the empty one it brings the bridge along.
"""

import time
from pathlib import Path

from google.protobuf import json_format

from bench.client import Client
from bench.network import SLEEP, bridged, started
from bench.peers import IMAGE, Ctr, fresh
from bench.report import Row, in_turn, row
from capsuled.layout import hosted
from effects.containerd.config import paths_under
from tests.support.daemon import Daemon, daemon
from tests.support.site import Site, site
from tools.demo_image import archive

MANY, ROUNDS_OF_MANY = 200, 3
MANY_S = 300
ROUNDS = 15


def rows(directory: Path) -> list[Row]:
    """Both figures."""
    image = directory / "demo.tar"
    image.write_bytes(archive(IMAGE))
    with (
        site() as full, daemon(inside=full.inside) as crowded, Client(crowded.state / "capsule.sock") as client,
        site() as quiet, daemon(inside=quiet.inside) as empty, Client(empty.state / "capsule.sock") as alone,
    ):  # fmt: skip
        for machine in (crowded, empty):
            machine.good("image", "push", str(image))
        return [_many(directory, image, full, crowded), _one_more(directory, (full, crowded, client), (quiet, alone))]


def _manifests(directory: Path, names: list[str]) -> Path:
    """A directory with a file each; JSON is YAML, too."""
    made = directory / fresh("manifests")
    made.mkdir()
    for name in names:
        (made / f"{name}.yaml").write_text(json_format.MessageToJson(bridged(name, SLEEP)))
    return made


def _many(directory: Path, image: Path, place: Site, machine: Daemon) -> Row:
    layout = hosted(machine.state)
    ctr = Ctr(paths_under(layout.containerd, layout.run).address)
    ctr.import_image(image)

    def ours() -> float:
        names = [fresh("many") for _ in range(MANY)]
        manifests = _manifests(directory, names)
        begun = time.perf_counter()
        machine.good("apply", "-f", str(manifests), "--wait", "--timeout", str(MANY_S), timeout=MANY_S)
        taken = time.perf_counter() - begun
        machine.good("delete", *names, "--yes", timeout=MANY_S)
        return taken / MANY * 1e3

    def theirs() -> float:
        names = [fresh("ctr") for _ in range(MANY)]
        begun = time.perf_counter()
        ctr.run(names)
        taken = time.perf_counter() - begun
        ctr.remove(names)
        return taken / MANY * 1e3

    mine, peer = in_turn(ROUNDS_OF_MANY, ours, theirs)
    note = "per workload, the command line included; ctr's without a network"
    return row("apply.200", mine, "ms", "ctr run -d, 200 at once", peer, "<=1.5", note)


def _one_more(directory: Path, full: tuple[Site, Daemon, Client], quiet: tuple[Site, Client]) -> Row:
    place, machine, client = full
    names = [fresh("many") for _ in range(MANY)]
    manifests = _manifests(directory, names)
    machine.good("apply", "-f", str(manifests), "--wait", "--timeout", str(MANY_S), timeout=MANY_S)
    other, alone = quiet

    def crowded() -> float:
        return place.on_thread(lambda: started(client))

    def empty() -> float:
        return other.on_thread(lambda: started(alone))

    crowded()
    empty()
    ours, peer = in_turn(ROUNDS, crowded, empty)
    machine.good("delete", *names, "--yes", timeout=MANY_S)
    return row("apply.201", ours, "ms", "empty", peer, "<=1.3", "Apply to the mapped port's answer")
