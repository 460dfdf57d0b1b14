"""Command lines that are wrong: each is told what is wrong and what to do, and exits 2; none shows our insides."""

import os
import re
import subprocess
import sys

import pytest

from capsulectl.arguments import arranged
from capsulectl.errors import Failure
from capsulectl.habits import HABITS, IRREVOCABLE
from capsulectl.quantities import SIZE_PATTERN, seconds, seconds_text, size_bytes
from capsulectl.selecting import Selection
from projections.details import Detail
from projections.status import Phase
from tests.cli.test_documentation import fault
from tests.support.daemon import BIN, CTL


def ctl(*arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
    environment = {key: value for key, value in os.environ.items() if key != "CAPSULE_HOST"} | more
    environment["CAPSULE_CONFIG_DIR"] = "/nonexistent"
    return subprocess.run(
        [CTL, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("stop web --wait --timeout soon", "'soon' is no duration with its unit: write it like 500ms, 10s or 1h30m"),
        ("stop web --wait --timeout nan", "'nan' is no time to wait: write it like 90, 90s or 2m"),
        ("wait web --timeout 1e10", "'1e10' is more than a year, and nothing takes that long"),
        ("apply -f - --timeout 99999999999", "'99999999999' is more than a year"),
        ("apply -f - --timeout=1e999", "'1e999' is more than a year"),
        ("update push x.tar --soak 9999h", "'9999h' is more than a year"),
        (f"update push x.tar --window {'9' * 400}h", "is more than a year"),
        ("stop web --wait --timeout=-inf", "'-inf' is no time to wait"),
        ("stop web --wait --timeout=-5", "'-5' is no time to wait: write it like 90, 90s or 2m"),
        ("update push x.tar --auto-confirm=-5", "'-5' is no time to wait"),
        ("update push x.tar --window=-1", "'-1' is no time to wait"),
        ("apply -f - --timeout=-0.5", "'-0.5' is no time to wait"),
        ("stats --window=-1", "'-1' is no time to wait"),
        ("volume create x 99999999999999999999TiB", "must be below 18446744073709551616 bytes"),
        ("volume resize x 16384PiB", "'16384PiB' is no size that there could be"),
        ("volume create data", "`volume create` needs SIZE\n"),
        ("get volume/data", "volume/data is no workload: `capsulectl volume get data` shows it"),
        ("describe web volume/data", "volume/data is no workload: `capsulectl volume get data` shows it"),
        ("events volume/data", "volume/data is no workload: `capsulectl history volume/data` shows it"),
        ("run nginx", "no verb run\ndeclare it in a file and say `capsulectl apply -f FILE`"),
        ("lsit", "no verb lsit: do you mean list?\n`capsulectl --help` lists the verbs"),
        ("workload lst", "no verb lst: do you mean list?\n`capsulectl workload --help`"),
        ("--bogus list", "no option --bogus stands before a verb"),
        ("--capsule", "no value behind --capsule"),
        ("list extra", "do with extra: `capsulectl get extra` shows it alone\n`capsulectl list --help`"),
        ("workload ls one two", "do with one two: `capsulectl get one two` shows them alone"),
        ("image list extra", "`image list` does not know what to do with extra\n`capsulectl image list --help`"),
        ("list -x", "`list`: unknown option: -x.\n"),
        ("volume list -a", "`volume list`: unknown option: -a.\n"),
        ("status", "no verb status\n`capsulectl list`; "),
        ("container ls", "no verb container\n`capsulectl list`; "),
        ("service", "no verb service\n`capsulectl list`; "),
        ("df", "no verb df\n`capsulectl capsule info` for the machine, `capsulectl volume list`, "),
        ("rename a b", "no verb rename\nnothing is renamed: "),
        ("pause web", "no verb pause\nnothing is paused: `capsulectl stop NAME`"),
        ("workload pause web", "no verb pause\nnothing is paused: `capsulectl stop NAME`"),
        ("image load x.tar", "no verb load\n`capsulectl image push ARCHIVE`\n"),
        ("image prune", "no verb prune\n`capsulectl image gc`\n"),
        ("volume inspect data", "no verb inspect\n`capsulectl volume get NAME`\n"),
        ("secret get s", "no verb get\n`capsulectl secret reveal NAME` prints the value"),
        ("capsule shutdown", "no verb shutdown\n`capsulectl capsule poweroff`"),
        ("capsule update apply", "no verb apply\n`capsulectl update push BUNDLE`\n"),
        ("context current", "no verb current\n`capsulectl context show`\n"),
        ("volume snapshot-rm data a", "no verb snapshot-rm\n`capsulectl volume snapshot-delete NAME LABEL`\n"),
        ("volume nonsense data", "no verb nonsense\n`capsulectl volume --help` lists the verbs\n"),
        ("delete -f examples --all", "`delete` takes -f, or names, -l or --all, not both"),
        ("rm -f web", "-f is for a file, and there is none called web: `capsulectl delete web --yes`"),
        ("rm -f nobody.yaml", "nobody.yaml cannot be read: No such file or directory"),
        ("rm --filename --yes", "unknown option --yes"),
        ("journal verify --archive x", "unknown option: --archive.\n`capsulectl journal verify --help` tells"),
        ("secret create s -", "unknown option: -.\n"),
        ("debug", "no verb debug\n`capsulectl capsule debug`, on the machine itself; "),
        ("list -o", "`list`: there is no value behind -o"),
        ("get", "`get` needs NAMES"),
        ("apply web.yaml", "`capsulectl apply -f web.yaml`"),
        ("events web -n -3", "must not be negative"),
        ("wait web --for ready", '"running", "healthy", "stopped"'),
        ("wait web --timeout x", "'x' is no duration with its unit"),
        ("exec --tt web sh", "Did you mean --tty?"),
        ("exec -e web ls", "--env 'web' is not NAME=VALUE"),
    ],
)
def test_each_mistake_is_named_with_the_way_out(typed: str, says: str) -> None:
    done = ctl(*typed.split())
    assert (done.returncode, done.stdout) == (2, "") and says in done.stderr
    assert done.stderr.startswith("capsulectl: ") and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (("rollback", "", "--to", "5", "--yes"), "an empty word is no"),
        (("rollback", "workload/", "--to", "5", "--yes"), "'workload/' names nothing"),
        (("rollback", "volume/", "--to", "x", "--yes"), "'volume/' names nothing"),
        (("rollback", "web", "--to", "", "--yes"), "an empty word is no"),
        (("delete", "web", "", "--yes"), "an empty word is no"),
        (("list", "--at", " "), "an empty word is no"),
        (("list", "--capsule", ""), "an empty word is no"),
        (("--capsule", "", "list", "-o", "json"), "an empty word is no"),
        (("--capsule=", "delete", "web", "--yes"), "an empty word is no"),
        (("--capsule", " ", "apply", "-f", "-"), "an empty word is no"),
        (("--capsule", "", "exec", "web", "--", "ls"), "an empty word is no"),
        (("key", "list", "--capsule", ""), "an empty word is no"),
        (("history", ""), "an empty word is no"),
        (("history", "--since", ""), "an empty word is no"),
        (("logs", "web", "--until", ""), "an empty word is no"),
        (("diff", "3", ""), "an empty word is no"),
        (("diff", "3", "now", "workload/"), "'workload/' names nothing"),
    ],
)
def test_an_unset_variable_of_a_script_means_neither_everything_nor_now(typed: tuple[str, ...], says: str) -> None:
    done = ctl(*typed)
    assert (done.returncode, done.stdout) == (2, "") and says in done.stderr


@pytest.mark.parametrize("verb", ["create", "rotate"])
def test_a_value_on_the_command_line_is_refused_and_not_repeated(verb: str) -> None:
    done = ctl("secret", verb, "s5", "somevalue")
    assert (done.returncode, done.stdout) == (2, "") and "somevalue" not in done.stderr
    assert "it is read from standard input, or -f FILE" in done.stderr and "the shell's history" in done.stderr


def test_an_empty_variable_of_the_environment_is_none() -> None:
    done = ctl("list", CAPSULE_HOST="")
    assert done.returncode == 1 and done.stderr.startswith("capsulectl: no capsule to talk to")


@pytest.mark.parametrize(
    "typed",
    [
        "history --boot -99999999999",
        "history -n 99999999999",
        "history show 99999999999999999999",
        "events web -n 99999999999",
        "logs web -n 99999999999",
        "logs web --run 99999999999999999999",
        "logs web --run -1",
        "capsule logs -n -1",
        "replay --to 99999999999999999999",
        "apply -f - --expect-seq 99999999999999999999",
        "stop web --expect-seq 99999999999999999999",
    ],
)
def test_a_number_that_a_call_has_no_room_for_is_a_mistake_of_the_line(typed: str) -> None:
    done = ctl(*typed.split())
    assert (done.returncode, done.stdout) == (2, "") and "It must " in done.stderr


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("schema >&-", 1, "capsulectl: the output could not be written: Bad file descriptor\n"),
        ("--version >&-", 1, "capsulectl: the output could not be written: Bad file descriptor\n"),
        ("schema --help >&-", 1, "capsulectl: the output could not be written: Bad file descriptor\n"),
        ("schema >&- 2>&-", 1, ""),
        ("context use nowhere >&-", 1, "nowhere"),
        ("schema | head -n 1; exit ${PIPESTATUS[0]}", 0, "{"),
        ("schema 2>&-", 0, ""),
        ("apply -f - <&-", 2, "nothing to apply in standard input"),
        ("rollback $'we\\xffb' --to 5", 2, "'we\\xffb' is no text in UTF-8"),
    ],
)
def test_streams_that_are_closed_and_letters_that_are_none_are_no_fault(line: str, code: int, says: str) -> None:
    nowhere = os.environ | {"CAPSULE_CONFIG_DIR": "/nonexistent"}
    done = subprocess.run(
        ["/bin/bash", "-c", f"{BIN}/capsulectl {line}"], env=nowhere, capture_output=True, check=False
    )
    assert done.returncode == code and says.encode() in done.stdout + done.stderr
    assert b"a fault in capsulectl" not in done.stdout + done.stderr


@pytest.mark.parametrize("code", [0, 1, 2])
def test_a_reader_that_is_gone_makes_no_failure_and_hides_none(code: int) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    program = f"import capsulectl.__main__ as m; m._run = lambda arguments: print('some') or {code}; m.main()"
    buffered = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=buffered, stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (code, b"")


def test_the_habits_of_other_tools_lead_somewhere_that_exists() -> None:
    from capsulectl.app import app

    for typed in HABITS:
        path, behind = arranged(app, typed.split())
        assert len(behind) == 1 and path == typed.split()[:-1], f"{typed} is a verb, or behind no noun"
    lines = [line for text in HABITS.values() for line in re.findall(r"`capsulectl ([^`]+)`", text)]
    assert all("`capsulectl " in text for text in HABITS.values())
    assert not [line for line in lines if fault(line.split()) or line.split()[0] in HABITS]


@pytest.mark.parametrize(
    "typed",
    [
        "resto",
        "rollbck web",
        "delte web",
        "remov web",
        "volume restor",
        "volume delet",
        "journal trunc",
        "capsule rebot",
    ],
)
def test_nobody_is_talked_into_what_cannot_be_taken_back(typed: str) -> None:
    assert "do you mean" not in ctl(*typed.split()).stderr


def test_what_is_never_offered_is_a_verb_that_there_is() -> None:
    from capsulectl.app import app

    nouns = (app, *(app[name] for name in ("workload", "image", "volume", "capsule", "update", "journal", "secret")))
    assert not {verb for verb in IRREVOCABLE if not any(verb in noun for noun in nouns)}


@pytest.mark.parametrize("noun", ["", "workload", "image", "volume", "secret", "key", "update key", "context"])
def test_whatever_it_is_called_elsewhere_everything_goes_by_delete_rm_and_remove(noun: str) -> None:
    pages = [ctl(*noun.split(), verb, "--help") for verb in ("delete", "rm", "remove")]
    assert all(page.returncode == 0 for page in pages)
    assert len({page.stdout.partition("\n")[2] for page in pages}) == 1 and "Leave" not in pages[0].stderr


@pytest.mark.parametrize(
    ("typed", "same"),
    [
        ("help", "--help"),
        ("help logs", "logs --help"),
        ("help image rm", "image rm --help"),
        ("image help", "image --help"),
        ("image help rm", "image rm --help"),
        ("--capsule home help exec", "exec --help"),
    ],
)
def test_help_is_an_option_and_a_verb(typed: str, same: str) -> None:
    shown = ctl(*typed.split())
    assert (shown.returncode, shown.stderr) == (0, "") and shown.stdout == ctl(*same.split()).stdout


def test_help_on_no_verb_says_so() -> None:
    shown = ctl("help", "logz")
    assert (shown.returncode, shown.stdout) == (2, "") and "no verb logz: do you mean logs?" in shown.stderr


@pytest.mark.parametrize(
    "typed",
    ["ps -a", "list --all -o wide -l a", "cp -r site web:/x", "cp -a web:/x site", "cp --recursive - web:/x",
     "image rm x --yes", "image logout x.lan -y", "update list", "update ls", "capsule update ls",
     "volume describe a b", "volume snapshot-delete data a b -y"],
)  # fmt: skip
def test_what_is_so_anyway_may_be_said(typed: str) -> None:
    done = ctl(*typed.split())
    assert done.returncode == 1 and "no capsule to talk to" in done.stderr


@pytest.mark.parametrize("text", ["", "a=b=c", "a=b,,c", "!", "=x", "a b", "!a=b"])
def test_a_selector_that_selects_nothing_is_refused(text: str) -> None:
    with pytest.raises(Failure) as caught:
        Selection([text])
    assert caught.value.code == 2 and "KEY!=VALUE" in caught.value.message


def test_a_fault_of_our_own_is_said_in_one_line_and_shown_when_asked_for() -> None:
    broken = (
        "import capsulectl.schema as s; s.json_schema = lambda: 1 / 0; from capsulectl.__main__ import main; main()"
    )
    for more, traceback in (({}, False), ({"CAPSULE_TRACEBACK": "1"}, True)):
        done = subprocess.run(
            [BIN / "python", "-c", broken, "schema"], env=os.environ | more, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1 and "a fault in capsulectl itself (ZeroDivisionError" in done.stderr
        assert ("Traceback" in done.stderr) is traceback


FORGETFUL = """
import capsulectl.__main__ as main, time, weakref
class Thrown: pass
def interrupted(arguments):
    thrown = Thrown()
    kept = weakref.ref(thrown, lambda gone: (_ for _ in ()).throw(KeyboardInterrupt))
    del thrown
    time.sleep(60)
main._run = interrupted
main.main()
"""


def test_a_ctrl_c_that_meets_what_is_being_thrown_away_is_not_forgotten() -> None:
    done = subprocess.run([BIN / "python", "-c", FORGETFUL], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


NEEDS_LITTLE = """
import sys
from capsulectl import lean
lean.install()
import capsulectl.session
from capsule.v1 import workload_pb2
heavy = [name for name in ("asyncio", "grpc.aio", "google.protobuf.internal.python_message", "cyclopts", "yaml")
         if name in sys.modules]
import asyncio
from google.protobuf.json_format import MessageToDict
assert asyncio.run(asyncio.sleep(0, 7)) == 7
assert MessageToDict(workload_pb2.Workload(name="web")) == {"name": "web"}
print(*heavy)
"""


def test_an_exec_imports_little_and_what_was_left_out_can_still_be_had() -> None:
    for more, heavy in (({}, ""), ({"CAPSULE_WHOLE_IMPORTS": "1"}, "asyncio grpc.aio")):
        done = subprocess.run(
            [BIN / "python", "-c", NEEDS_LITTLE], env=os.environ | more, capture_output=True, text=True, check=False
        )
        assert (done.stderr, done.returncode) == ("", 0) and done.stdout.strip().startswith(heavy)
        assert heavy or not done.stdout.strip()


def test_every_word_that_a_list_shows_can_be_asked_for() -> None:
    for word in (*Phase, *Detail):
        assert not Selection(phases=(word.upper(),)).anything


@pytest.mark.parametrize(
    ("text", "value"), [("90", 90), ("1.5", 1.5), ("90s", 90), ("2m", 120), ("500ms", 0.5), ("0", 0)]
)
def test_a_time_to_wait_may_have_its_unit_or_be_in_seconds(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize(("number", "text"), [(0.5, "0.5 s"), (30, "30 s"), (1_234_567.0, "1234567 s"), (0, "0 s")])
def test_a_time_to_wait_is_told_in_figures(number: float, text: str) -> None:
    assert seconds_text(number) == text


@pytest.mark.parametrize("text", ["1P", "1PB", "1PiB", "1Pi", "1pi", "1 pib", "1024TiB", "1024Ti"])
def test_the_largest_size_that_a_volume_may_have_can_be_written_as_it_is_told(text: str) -> None:
    assert size_bytes(text) == 1 << 50 and re.search(SIZE_PATTERN, text)


@pytest.mark.parametrize(
    ("verb", "says"),
    [
        ("volume create", (" NAME SIZE\n",)),
        ("wait", ("--timeout DURATION", "(default 60s)")),
        ("update push", ("--auto-confirm DURATION", "--soak DURATION", "--window DURATION", "(default 900s)")),
        ("stats", ("--window DURATION", "--interval DURATION")),
        ("rollback", ("--to MOMENT",)),
    ],
)
def test_a_page_of_help_says_what_a_value_is(verb: str, says: tuple[str, ...]) -> None:
    page = ctl(*verb.split(), "--help").stdout
    assert all(words in page for words in says) and "FLOAT" not in page


def test_each_example_has_a_line_of_its_own() -> None:
    lines = ctl("delete", "--help").stdout.splitlines()
    assert lines.count("Example: capsulectl workload delete web --yes") == 1
    assert sum(line.startswith("Example: ") for line in lines) == 2
