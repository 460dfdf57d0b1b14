"""What is not ours to trust reaches no terminal as it is: an image's author names its command."""

import json

import pytest

from tests.support.daemon import Daemon
from tools.demo_image import archive

pytestmark = pytest.mark.real

STRANGE = "/no\x1b[2J\x1b[1;1Hagent is running\x1b[8m"
BRIEF = ("--timeout", "2")
VERBS: tuple[tuple[str, ...], ...] = (
    ("wait", "strange", *BRIEF),
    ("start", "strange", "--wait", *BRIEF),
    ("restart", "strange", "--wait", *BRIEF),
    ("exec", "strange", "--", "x"),
    ("list",),
    ("list", "-o", "wide"),
    ("get", "strange"),
    ("get", "strange", "-o", "json"),
    ("get", "strange", "-o", "yaml"),
    ("why", "strange"),
    ("history", "strange"),
    ("events", "strange"),
    ("revisions", "strange"),
    ("diff", "strange"),
    ("drift",),
    ("logs", "strange"),
    ("image", "list"),
    ("capsule", "info"),
    ("delete", "strange", "--yes"),
)


def test_an_images_author_writes_to_no_terminal_whatever_is_asked(capsule: Daemon) -> None:
    path = capsule.scratch / "strange.tar"
    path.write_bytes(archive("docker.io/library/strange:1", command=(STRANGE,)))
    capsule.good("image", "push", str(path))
    container = {"image": "strange:1", "networkMode": "NONE"}
    manifest = json.dumps({"name": "strange", "kind": "Container", "container": container})
    try:
        applied = capsule.ctl("apply", "-f", "-", "--wait", *BRIEF, stdin=manifest)
        assert applied.returncode and "\\x1b[2J" in applied.stderr
        done = {verb: capsule.ctl(*verb) for verb in VERBS}
        said = {verb: one.stdout + one.stderr for verb, one in done.items()} | {("apply",): applied.stderr}
        assert [verb for verb, text in said.items() if "\x1b" in text] == []
        assert "\\x1b[2J" in said["get", "strange"] and "\\x1b[2J" in said["why", "strange"]
    finally:
        capsule.ctl("delete", "strange", "--yes")
        capsule.ctl("image", "rm", "strange:1", "--yes")
