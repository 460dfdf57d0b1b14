"""Planted values, and then a search through everything that is kept or shown: none of them stands there in clear."""

import base64
import ctypes
import json
import os
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from capsuled.layout import hosted
from tests.support.daemon import SERVE, Daemon, daemon, manifest

pytestmark = pytest.mark.real

PLANTED = {
    "first": "planted-env-4711-first",
    "second": "planted-env-4711-second",
    "refused": "planted-env-4711-refused",
    "dry": "planted-env-4711-dry",
    "exec": "planted-exec-4711-env",
    "stdin": "planted-exec-4711-stdin",
    "output": "planted-exec-4711-output",
    "log": "planted-log-4711-line",
    "secret": "planted-secret-4711-first",
    "rotated": "planted-secret-4711-rotated",
    "removed": "planted-secret-4711-removed",
    "taken": "planted-secret-4711-taken",
}
OUTPUT_SCRIPT = "printf 'planted-exec-4711-%s' output"
SECRETS = {"secretEnv": {"KEY": "key"}, "secrets": ["key"]}
LOG_SCRIPT = "printf 'planted-log-4711-%s\\n' line; " + SERVE


@pytest.fixture(scope="module")
def lived() -> Iterator[Daemon]:
    """A daemon that was told every planted value in every way there is, killed and started between."""
    with daemon() as capsule:
        capsule.push_image()
        capsule.good("secret", "create", "key", stdin=PLANTED["secret"])
        capsule.good("secret", "create", "gone", stdin=PLANTED["removed"])
        assert capsule.ctl("secret", "create", "key", stdin=PLANTED["taken"]).returncode == 1
        assert capsule.good("secret", "reveal", "key") == PLANTED["secret"]
        capsule.good("secret", "rm", "gone", "--yes")
        capsule.apply(manifest("web", LOG_SCRIPT, env={"TOKEN": PLANTED["first"]}, **SECRETS), "--wait")
        refused = manifest("web", LOG_SCRIPT, env={"TOKEN": PLANTED["refused"], "not good": "x"})
        assert capsule.ctl("apply", "-f", "-", stdin=refused).returncode == 1
        refused = manifest("Bad Name", LOG_SCRIPT, env={"TOKEN": PLANTED["refused"]})
        assert capsule.ctl("apply", "-f", "-", stdin=refused).returncode == 1
        dry = manifest("web", LOG_SCRIPT, env={"TOKEN": PLANTED["dry"]})
        assert capsule.ctl("apply", "-f", "-", "--dry-run", stdin=dry).returncode == 0
        assert capsule.ctl("diff", "-f", "-", stdin=dry).returncode == 1
        capsule.good("exec", "-e", f"TOKEN={PLANTED['exec']}", "web", "--", "sh", "-c", "true")
        capsule.good("exec", "-i", "web", "--", "sh", "-c", "cat > /dev/null", stdin=PLANTED["stdin"])
        assert capsule.good("exec", "web", "--", "sh", "-c", OUTPUT_SCRIPT) == PLANTED["output"]
        assert PLANTED["log"] in capsule.good("logs", "web")
        capsule.good("secret", "rotate", "key", stdin=PLANTED["rotated"])
        assert capsule.good("secret", "reveal", "key") == PLANTED["rotated"]
        capsule.kill()
        capsule.start()
        capsule.apply(manifest("web", LOG_SCRIPT, env={"TOKEN": PLANTED["second"]}, **SECRETS), "--wait")
        yield capsule


def clear_in(content: bytes) -> list[str]:
    forms = {name: (value.encode(), *encoded(value.encode())) for name, value in PLANTED.items()}
    return [name for name, found in forms.items() if any(form in content for form in found)]


def encoded(value: bytes) -> Iterator[bytes]:
    """In base64, wherever in the encoded bytes it begins: without the letters to which its neighbours contribute."""
    for before, shared in ((0, 0), (1, 2), (2, 3)):
        yield base64.b64encode(bytes(before) + value).rstrip(b"=")[shared:-2]


def files_in(top: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """What lies below, while a daemon makes and removes some of it: what is gone before it is looked at is none."""

    def listed(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    for directory, _, names in os.walk(top, onerror=listed):
        for path in (Path(directory, name) for name in sorted(names)):
            with suppress(FileNotFoundError):
                yield path, path.lstat()


def test_base64_of_a_planted_value_is_found_wherever_it_begins() -> None:
    for before in range(6):
        assert clear_in(b"say " + base64.b64encode(bytes(before) + PLANTED["secret"].encode() + b"}")) == ["secret"]


def test_no_file_that_the_house_writes_holds_a_planted_value(lived: Daemon) -> None:
    """Nor one of containerd's, of its shims' or of runc's; what the workload itself wrote are its own words. In memory
    stands what the processes that run were given."""
    layout = hosted(lived.state)
    searched: set[str] = set()
    for top in (layout.state, layout.run):
        for path, what in files_in(top):
            inside = path.relative_to(top).parts
            if not stat.S_ISREG(what.st_mode) or inside[:2] == ("logs", "web") or inside[0] == "memory":
                continue
            with suppress(FileNotFoundError):
                assert clear_in(path.read_bytes()) == [], path
                searched.add("/".join(inside[:-1]))
    assert {
        "journal",
        "sealed",
        "identity",
        "logs/.capsuled",
        "containerd/root/io.containerd.metadata.v1.bolt",
    } <= searched
    assert any(one.startswith("runc/capsule/web.") for one in searched)
    assert clear_in((lived.scratch / "out").read_bytes()) == []


def test_what_is_in_memory_is_on_no_disk_and_goes_with_what_it_is_for(lived: Daemon) -> None:
    memory = hosted(lived.state).memory
    (kind,) = [line.split(" - ")[1].split()[0] for line in mountinfo() if line.split()[4] == str(memory)]
    assert kind == "tmpfs" and memory.stat().st_mode & 0o777 == 0o700
    assert [path.name.partition(".")[0] for path in (memory / "specs").iterdir()] == ["web"], "of earlier runs nothing"
    lived.apply(manifest("short", "sleep 60", env={"OWN": "planted-short"}), "--wait")
    assert any(b"planted-short" in path.read_bytes() for path in (memory / "specs").glob("short.*/config.json"))
    lived.good("delete", "short", "--yes")
    assert not list((memory / "specs").glob("short.*"))


def mountinfo() -> list[str]:
    return Path("/proc/self/mountinfo").read_text().splitlines()


def test_what_an_exec_is_given_goes_through_memory_too(lived: Daemon) -> None:
    """In a file from the shim to runc, which is looked for as it comes and goes."""
    with made_in(hosted(lived.state).memory) as made:
        lived.good("exec", "-e", "TOKEN=x", "web", "--", "true")
        assert any(name.startswith("runc-process") for name in made())


@contextmanager
def made_in(directory: Path) -> Iterator[Callable[[], list[str]]]:
    """The names of files that were made in a directory since. Source: inotify(7)."""
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert watch >= 0 and libc.inotify_add_watch(watch, str(directory).encode(), 0x100) >= 0

    def names() -> list[str]:
        found, at, raw = [], 0, os.read(watch, 65_536)
        while at < len(raw):
            _, _, _, size = struct.unpack_from("iIII", raw, at)
            found.append(raw[at + 16 : at + 16 + size].rstrip(b"\0").decode())
            at += 16 + size
        return found

    try:
        yield names
    finally:
        os.close(watch)


def test_nothing_that_is_shown_holds_a_planted_value(lived: Daemon) -> None:
    for shown in (
        ["history", "--reads", "-o", "json"],
        ["history", "-o", "wide"],
        ["get", "web", "-o", "yaml"],
        ["get", "web"],
        ["list", "-o", "wide"],
        ["capsule", "logs"],
        ["journal", "stats", "-o", "wide"],
        ["secret", "list", "-o", "json"],
        ["why", "web"],
    ):
        assert clear_in(lived.good(*shown).encode()) == [], shown
    for event in lived.history():
        tree = lived.good("history", "show", str(event["seq"]), "-o", "json") if event["seq"] % 7 == 0 else ""
        assert clear_in(tree.encode()) == []


def test_an_archive_of_the_memory_holds_no_planted_value(lived: Daemon, tmp_path: Path) -> None:
    from journal.archive import Archive

    lived.good("journal", "export", str(tmp_path / "memory.capsule"))
    with (tmp_path / "memory.capsule").open("rb") as source:
        entries = list(Archive(source).entries())
    assert len(entries) > 30
    assert clear_in(b"\n".join(stored.header_bytes + stored.body for _, stored in entries)) == []


def test_the_text_that_stands_for_a_value_applied_back_keeps_it(lived: Daemon) -> None:
    printed = lived.good("get", "web", "-o", "yaml")
    assert "sealed:" in printed and lived.apply(printed) == "workload/web unchanged\n"
    ask = ["exec", "web", "--", "sh", "-c", "echo $TOKEN"]
    assert lived.good(*ask) == PLANTED["second"] + "\n"
    renamed = json.loads(lived.good("get", "web", "-o", "json"))
    assert renamed["container"]["secretEnv"] == {"KEY": "key"}
    renamed["container"]["env"] = {"TOKEN": renamed["container"]["env"]["TOKEN"], "MORE": "plain"}
    lived.apply(json.dumps(renamed), "--wait")
    lived.until(lambda: lived.ctl(*ask).stdout == PLANTED["second"] + "\n", "it runs with the kept value")


def test_a_name_that_stands_for_no_value_of_the_workload_is_refused(lived: Daemon) -> None:
    guessed = manifest("web", LOG_SCRIPT, env={"TOKEN": "sealed:" + "0" * 32})
    refused = lived.ctl("apply", "-f", "-", stdin=guessed)
    assert refused.returncode == 1 and "no such sealed value" in refused.stderr
    sealed = lived.data("get", "web")["container"]["env"]["TOKEN"]
    thief = lived.ctl("apply", "-f", "-", stdin=manifest("thief", "env", env={"TOKEN": sealed}))
    assert thief.returncode == 1 and "no such sealed value" in thief.stderr, "another workload cannot borrow it"


def sealed_files(capsule: Daemon) -> set[str]:
    """What lies in the sealed store, each file for nobody else to read."""
    files = dict(files_in(capsule.state / "sealed"))
    assert all(what.st_mode & 0o777 == 0o600 for what in files.values())
    return {path.name for path in files}


def kept_for(capsule: Daemon, name: str) -> set[str]:
    """The names of the sealed values of a workload's revisions, of which a rollback may want the last five."""
    applied = [event["body"] for event in capsule.history(name) if event["type"] == "workload.applied"]
    items = [item for body in applied for item in body["items"] if item["name"] == name]
    assert 0 < len(items) <= 5
    return {one["sealed"] for item in items for one in item["container"].get("env", ())}


def secret_of(capsule: Daemon) -> set[str]:
    """The name of the secret's one sealed value, as the journal has it."""
    told = [event for event in capsule.history("key") if event["type"] in ("secret.created", "secret.rotated")]
    return {told[-1]["body"]["sealed"]}


def test_what_is_sealed_is_what_workloads_have_or_a_rollback_may_want_and_nothing_refused(lived: Daemon) -> None:
    """Of all that was given until here, dry runs and refused calls too."""
    lived.until(lambda: sealed_files(lived) - secret_of(lived) == kept_for(lived, "web"), "what nobody names is gone")


def test_a_workload_that_is_deleted_takes_its_values_with_it(lived: Daemon) -> None:
    lived.apply(manifest("brief", "sleep 60", env={"OWN": "planted-brief-4711", "TOKEN": PLANTED["second"]}), "--wait")
    assert kept_for(lived, "brief") <= sealed_files(lived)
    lived.good("delete", "brief", "--yes")
    left = kept_for(lived, "web") | secret_of(lived)
    lived.until(lambda: sealed_files(lived) == left, "its own value is gone, the shared one stays")


def test_what_a_kill_left_behind_is_swept_at_the_next_start(lived: Daemon) -> None:
    before = sealed_files(lived)
    lived.kill()
    for name in ("0" * 32, f".{'1' * 32}.4711"):
        (lived.state / "sealed" / name).write_bytes(b"of nobody")
        (lived.state / "sealed" / name).chmod(0o600)
    lived.start()
    lived.until(lambda: sealed_files(lived) == before, "only what is named is left")


def test_a_secret_in_the_environment_changes_with_the_next_start_which_is_said_meanwhile(lived: Daemon) -> None:
    ask = ["exec", "keyed", "--", "sh", "-c", "echo $KEY"]
    declared = manifest("keyed", LOG_SCRIPT.replace("4711", "keyed"), **SECRETS)
    lived.apply(declared, "--wait")
    before = lived.good(*ask)
    lived.good("secret", "rotate", "key", stdin="yet another")
    assert lived.good(*ask) == before
    said = lived.status("keyed")["message"]
    assert said == "run 1 has a former value of secret key in its environment: the next start has the present one"
    same = lived.ctl("diff", "-f", "-", stdin=declared)
    assert (same.returncode, same.stdout) == (0, "") and f"workload/keyed: {said}" in same.stderr
    assert lived.apply(declared) == "workload/keyed unchanged\n"
    lived.good("restart", "keyed", "--wait")
    assert lived.good(*ask) == "yet another\n" and "message" not in lived.status("keyed")
    refused = lived.ctl("secret", "rm", "key", "--yes")
    assert refused.returncode == 1 and "used by keyed, web: delete keyed and web" in refused.stderr
    absent = lived.ctl("apply", "-f", "-", stdin=manifest("other", "true", secretEnv={"KEY": "kye"}))
    assert absent.returncode == 1 and "there is no secret kye: do you mean key?" in absent.stderr
    lived.good("delete", "keyed", "--yes")
