"""Who asks is not known, not allowed to, or does not know whom he asks."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cli.mishaps.stage import Stage, scene

ADDRESS = "127.0.0.1:50000"


def _over_the_network(stage: Stage, who: str) -> None:
    """From now on somebody else types, who has nothing yet."""
    stage.environment.pop("CAPSULE_HOST", None)
    stage.environment["CAPSULE_CONFIG_DIR"] = str(stage.place / who)


@contextmanager
def _adopted(stage: Stage) -> Iterator[Stage]:
    """A capsule of its own, which anna adopted over the network."""
    with scene() as (site, capsule):
        other = stage.beside(site, capsule)
        fingerprint = capsule.data("capsule", "info")["tlsFingerprintSha256"]
        _over_the_network(other, "anna")
        done = other.types("adopt", ADDRESS, "--fingerprint", fingerprint, "--name", "home", "--operator", "anna", "-q")
        assert done.returncode == 0, done.stdout
        stage.stands_for(fingerprint, "fingerprint")
        stage.said.clear()
        yield other


def _public_key(stage: Stage) -> str:
    key = stage.types("key", "show", "-o", "name").stdout.strip()
    stage.said.pop()
    stage.stands_for(key, "key")
    return key


def nobody_was_adopted(stage: Stage) -> None:
    """There is no capsule on this machine, and none was adopted."""
    _over_the_network(stage, "nobody")
    stage.types("list")


def another_fingerprint(stage: Stage) -> None:
    """The machine that answers shows another fingerprint than the console did."""
    stage.stands_for(stage.capsule.data("capsule", "info")["tlsFingerprintSha256"], "fingerprint")
    _over_the_network(stage, "anna")
    stage.types("adopt", ADDRESS, "--fingerprint", "0" * 64)


def adopted_already(stage: Stage) -> None:
    """Somebody else has adopted it."""
    with _adopted(stage) as house:
        _over_the_network(house, "bob")
        house.types("adopt", ADDRESS, "--yes")


def certificate_changed(stage: Stage) -> None:
    """Another machine answers than the one that was adopted."""
    with _adopted(stage) as house:
        config = house.place / "anna/config.yaml"
        text = config.read_text()
        found = re.search(r"tls_fingerprint_sha256: (\w+)", text)
        assert found is not None
        config.write_text(text.replace(found[1], "1" * 64))
        house.types("list")


def key_lost(stage: Stage) -> None:
    """The operator's key is gone."""
    with _adopted(stage) as house:
        for key in (house.place / "anna").glob("*.ed25519*"):
            key.unlink()
        house.types("list")


def key_unknown(stage: Stage) -> None:
    """The machine does not know his key any more."""
    with _adopted(stage) as house:
        key = house.place / "anna"
        for file in key.glob("*.ed25519*"):
            file.unlink()
        _public_key(house)
        house.types("list")


def only_a_reader(stage: Stage) -> None:
    """He may look, and not act."""
    with _adopted(stage) as house:
        _over_the_network(house, "bob")
        key = _public_key(house)
        house.apart("key", "add", key, "--name", "bob", "--role", "reader")
        fingerprint = house.capsule.data("capsule", "info")["tlsFingerprintSha256"]
        house.types("adopt", ADDRESS, "--fingerprint", fingerprint, "--name", "home", "-q")
        house.said.pop()
        house.types("image", "gc", "--yes")


def unknown_context(stage: Stage) -> None:
    """A machine of that name is none of his."""
    with _adopted(stage) as house:
        house.types("list", "--capsule", "attic")


def contexts_damaged(stage: Stage) -> None:
    """The file with his machines is damaged."""
    _over_the_network(stage, "anna")
    stage.file("anna/config.yaml", "contexts: [home\n", shown=False)
    stage.types("list")


def clock_off(stage: Stage) -> None:
    """The clock where he types is an hour fast."""
    with _adopted(stage) as house:
        # Read by every Python before anything else: it is the clock of what he types, and nobody else's.
        fast = "import time\nright = time.time\ntime.time = lambda: right() + 3600\n"
        house.file("fast/sitecustomize.py", fast, shown=False)
        house.environment["PYTHONPATH"] = str(house.place / "fast")
        house.types("list")


MISHAPS = (
    nobody_was_adopted, another_fingerprint, adopted_already, certificate_changed, key_lost, key_unknown, only_a_reader,
    unknown_context, contexts_damaged, clock_off,
)  # fmt: skip
