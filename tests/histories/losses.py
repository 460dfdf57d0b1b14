"""A third life to record: images that come from a registry, are taken by another hand and cannot be had again, a volume
that another hand unmounts; and the machine that takes this one's memory over."""

import json
import subprocess
from pathlib import Path

from capsuled.layout import hosted
from effects.containerd.config import paths_under
from tests.support.daemon import SERVE, Daemon, manifest
from tests.support.registry import PASSWORD, USER, RunningRegistry, registry

DATA = {"volumeName": "data", "mountPath": "/data"}
VOLUME = {"name": "data", "kind": "Volume", "size": "32MiB", "drift": "REPORT"}
PASSPHRASE = "four words that nobody knows"


def live(old: Daemon, new: Daemon) -> None:
    """Everything of that, each thing once. `new` is blank, and remembers all of it in the end."""
    old.push_image()
    with registry(tls=True, auth="basic", inside=old.inside) as running:
        _pulled(old, running)
        _found(old)
        _taken(old)
        old.good("image", "pull", f"{running.host}/demo:1")
        old.until(lambda: _told(old, "drift.resolved"), "it is here again", 60)
    _not_had_again(old)
    _unmounted(old)
    _restored(old, new)


def _pulled(capsule: Daemon, running: RunningRegistry) -> None:
    assert running.ca is not None
    running.fill(capsule.inside)
    ca = str(running.ca.certificate_file)
    assert capsule.ctl("image", "pull", f"{running.host}/demo:1").returncode == 1
    capsule.good("image", "login", running.host, "-u", USER, "--password-stdin", "--ca", ca, stdin=PASSWORD)
    assert capsule.ctl("image", "pull", f"{running.host}/none:1").returncode == 1
    capsule.apply(manifest("web", SERVE, image=f"{running.host}/demo:1"), "--wait")


def _found(capsule: Daemon) -> None:
    """What another hand named, while nobody looked."""
    subprocess.run([*_ctr(capsule), "tag", "docker.io/library/demo:1", "docker.io/library/other:1"], check=True)
    assert capsule.stop() == 0
    capsule.start()
    capsule.until(lambda: _told(capsule, "image.found"), "it is told that it is there", 60)


def _taken(capsule: Daemon) -> None:
    """By another hand: every image that there is, with its layers. What is only unnamed can be had again from them."""
    before = len(capsule.history("--type", "image.lost"))
    ctr = _ctr(capsule)
    names = subprocess.run([*ctr, "ls", "--quiet"], check=True, capture_output=True, text=True).stdout.split()
    subprocess.run([*ctr, "rm", "--sync", *names], check=True, capture_output=True)
    capsule.until(lambda: len(capsule.history("--type", "image.lost")) > before, "it is told that it is gone", 60)


def _not_had_again(capsule: Daemon) -> None:
    """The registry is gone, too: what is asked for is tried, and given up for something else."""
    _taken(capsule)
    capsule.good("restart", "web")
    capsule.until(lambda: _told(capsule, "effect.failed"), "it cannot be fetched", 60)
    capsule.push_image()
    capsule.apply(manifest("web", SERVE), "--wait")


def _unmounted(capsule: Daemon) -> None:
    capsule.apply(f"{json.dumps(VOLUME)}\n---\n{manifest('keeper', SERVE, mounts=[DATA])}", "--wait")
    path = capsule.data("volume", "get", "data")["hostPath"]
    subprocess.run([*capsule.inside, "umount", path], check=True)
    capsule.until(lambda: _told(capsule, "volume.drifted"), "it is told that another hand did that", 60)
    capsule.good("start", "keeper", "--wait")


def _restored(old: Daemon, new: Daemon) -> None:
    old.good("secret", "create", "key", stdin="a value")
    old.apply(manifest("told", SERVE, env={"MODE": "live"}, secretEnv={"KEY": "key"}), "--wait")
    memory, values, passphrase = (str(old.scratch / name) for name in ("memory.capsule", "values", "passphrase"))
    Path(passphrase).write_text(PASSPHRASE + "\n")
    sealed = ("--secrets", values, "--passphrase-file", passphrase)
    old.good("journal", "export", memory, *sealed)
    new.push_image()
    new.good("restore", memory, *sealed, "--yes")
    for name in ("web", "told"):
        new.good("wait", name, "--for", "running")
    assert _told(new, "journal.restored") and "not in the storage any more" in new.good("why", "keeper")
    new.good("delete", "keeper", "--yes")
    new.good("volume", "delete", "data", "--yes")
    assert "Verified" in new.good("replay", "--verify")


def _ctr(capsule: Daemon) -> list[str]:
    layout = hosted(capsule.state)
    address = paths_under(layout.containerd, layout.run).address
    return [*capsule.inside, "ctr", "--address", str(address), "--namespace", "capsule", "images"]


def _told(capsule: Daemon, tag: str) -> bool:
    return bool(capsule.history("--type", tag))
