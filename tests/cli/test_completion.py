"""What the shell offers behind a Tab: verbs, options, and names from the machine when it answers."""

import subprocess

import pytest

from tests.support.daemon import BIN, SERVE, Daemon, daemon, manifest
from tests.support.terminal import window

pytestmark = pytest.mark.real

BASH = """
source <(capsulectl completion bash)
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
_capsulectl
printf '%s\\n' "${COMPREPLY[@]}"
"""


LINE = """
source <(capsulectl completion bash)
told() { _capsulectl_whole "$@"; printf '%s\\n' "${COMPREPLY[@]}" > "$OFFERED"; printf 'ans''wered\\n'; COMPREPLY=(); }
complete -F told capsulectl
PS1='rea''dy '
"""
"""A bash that breaks the line into words itself, and writes down what it was offered."""


def environment(capsule: Daemon, **more: str) -> dict[str, str]:
    """Of a shell that nobody has set up: what is at home, and in its XDG directories, is the test's. Its locale is one
    that every machine has."""
    home = capsule.scratch / "home"
    home.mkdir(exist_ok=True)
    own = {"HOME": str(home), "LC_ALL": "C.UTF-8", "PATH": f"{BIN}:{capsule.environment['PATH']}", "TERM": "xterm"}
    return {name: value for name, value in capsule.environment.items() if not name.startswith("XDG_")} | own | more


def offered(capsule: Daemon, *words: str, **more: str) -> list[str]:
    return _said(capsule, BASH, "capsulectl", *words, **more)


def typed(capsule: Daemon, line: str) -> list[str]:
    rc, offers = capsule.scratch / "bashrc", capsule.scratch / "offered"
    rc.write_text(LINE)
    with window() as made:
        made.run(["bash", "--noprofile", "--rcfile", rc, "-i"], environment(capsule, OFFERED=str(offers)))
        made.sees("ready ")
        made.type(f"{line}\t")
        made.sees("answered")
    return offers.read_text().split()


def _said(capsule: Daemon, script: str, *arguments: str, **more: str) -> list[str]:
    done = subprocess.run(
        ["bash", "-c", script, "bash", *arguments],
        env=environment(capsule, **more),
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_offers_verbs_options_choices_and_names(capsule: Daemon) -> None:
    capsule.apply(manifest("tabbed", SERVE) + "\n---\n" + manifest("tabby", SERVE))
    assert offered(capsule, "descr") == ["describe"]
    assert offered(capsule, "wait", "--for", "comp") == ["completed"]
    for verb in (["get"], ["exec", "-it"], ["workload", "stop"], ["logs"], ["wait"], ["rm"], ["events"]):
        assert offered(capsule, *verb, "tab") == ["tabbed", "tabby"], verb
    assert offered(capsule, "stop", "tabbed", "tab") == ["tabby"]
    assert offered(capsule, "exec", "tabbed", "tab") == []
    capsule.good("delete", "tabbed", "tabby", "--yes")


def test_bash_offers_the_names_of_images_also_behind_their_colons(capsule: Daemon) -> None:
    capsule.push_image("tab/first:1")
    capsule.push_image("tab/first:2")
    for verb in ("rm", "pull"):
        assert offered(capsule, "image", verb, "tab") == ["tab/first:1", "tab/first:2"]
    assert offered(capsule, "image", "rm", "tab/first:1", "tab") == ["tab/first:2"]
    assert typed(capsule, "capsulectl image rm tab/first:") == ["1", "2"]
    assert typed(capsule, "capsulectl image rm tab/first:1 tab/fi") == ["tab/first:2"]
    assert typed(capsule, "capsulectl image rm tab/first:1 tab/first") == ["tab/first:2"]
    assert typed(capsule, "capsulectl image rm tab/first:1 ") == ["demo:1", "tab/first:2"]
    capsule.good("image", "rm", "tab/first:1", "tab/first:2")


def test_bash_offers_what_begins_a_word_also_behind_the_colon_of_an_earlier_one(capsule: Daemon) -> None:
    formats = ["table", "wide", "json", "yaml", "name"]
    assert typed(capsule, "capsulectl volume create -o ") == formats
    assert typed(capsule, "capsulectl --capsule unix:/x volume create -o ") == formats
    verbs = typed(capsule, "capsulectl image ")
    assert {"list", "push", "rm"} <= set(verbs)
    assert typed(capsule, "capsulectl --capsule 10.0.0.1:50000 image ") == verbs
    assert typed(capsule, "capsulectl --capsule 10.0.0.1:50000 image pu") == ["pull", "push"]


def test_bash_offers_the_names_of_volumes(capsule: Daemon) -> None:
    capsule.good("volume", "create", "tab-volume", "16MiB")
    assert offered(capsule, "volume", "delete", "tab") == ["tab-volume"]
    assert offered(capsule, "volume", "snapshot", "tab") == ["tab-volume"]
    assert offered(capsule, "volume", "create", "tab") == []
    capsule.good("volume", "delete", "tab-volume", "--yes")


def test_bash_offers_volumes_where_they_are_taken_beside_workloads(capsule: Daemon) -> None:
    capsule.apply(manifest("both-workload", SERVE))
    capsule.good("volume", "create", "both-volume", "16MiB")
    for verb in ("why", "history", "drift"):
        assert offered(capsule, verb, "both") == ["both-workload", "both-volume"], verb
    assert offered(capsule, "rollback", "both") == ["both-workload"]
    assert offered(capsule, "rollback", "volume/both") == ["volume/both-volume"]
    capsule.good("delete", "both-workload", "--yes")
    capsule.good("volume", "delete", "both-volume", "--yes")


def test_bash_offers_the_snapshots_of_the_volume_that_stands_before(capsule: Daemon) -> None:
    for name in ("tab-first", "tab-second"):
        capsule.good("volume", "create", name, "16MiB")
        capsule.good("volume", "snapshot", name, f"{name}-kept")
    for verb in ("restore", "snapshot-delete"):
        assert offered(capsule, "volume", verb, "tab-second", "") == ["tab-second-kept"]
    assert offered(capsule, "volume", "snapshot", "tab-second", "") == []
    assert offered(capsule, "volume", "snapshot-delete", "tab-second", "tab-second-kept", "") == []
    capsule.good("volume", "delete", "tab-first", "tab-second", "--yes")


def test_bash_offers_keys_by_their_ids_and_their_operators() -> None:
    with daemon() as machine:  # whose first key would be everybody's business
        key = machine.good("key", "show", "-o", "name").strip()
        kid = machine.good("key", "add", key, "--name", "tabitha", "--role", "admin").strip()
        for verb in ("rm", "role"):
            assert offered(machine, "key", verb, "tab") == ["tabitha"]
            assert offered(machine, "key", verb, kid[:4]) == [kid[:12]]


def test_bash_offers_contexts_and_registries(capsule: Daemon) -> None:
    capsule.good("context", "add", "tab-home", "--socket", "/nonexistent")
    for verb in ("show", "use", "rm", "rename"):
        assert offered(capsule, "context", verb, "tab") == ["tab-home"]
    assert offered(capsule, "list", "--capsule", "tab") == ["tab-home"]
    capsule.good("context", "rm", "tab-home")
    capsule.good("image", "login", "tab.lan:5000", "--plain-http", "--no-check")
    assert offered(capsule, "image", "logout", "tab") == ["tab.lan:5000"]
    assert typed(capsule, "capsulectl image logout tab.lan:") == ["5000"]
    capsule.good("image", "logout", "tab.lan:5000")


def test_bash_offers_workloads_as_ends_of_a_copy_and_leaves_the_path_to_be_typed(capsule: Daemon) -> None:
    capsule.apply(manifest("tab-end", SERVE))
    assert offered(capsule, "cp", "tab") == ["tab-end:"]
    assert offered(capsule, "cp", "./file", "tab") == ["tab-end:"]
    assert typed(capsule, "capsulectl cp tab-end:") == []
    with window() as made:
        made.run(["bash", "--norc", "-i"], environment(capsule))
        made.type("PS1='rea''dy '; source <(capsulectl completion bash)\r")
        made.sees("ready ")
        made.type("capsulectl cp tab-\t")
        made.sees("tab-end:")
        made.type("/etc")
        assert made.sees("/etc") == b"/etc"  # no blank between
    capsule.good("delete", "tab-end", "--yes")


def test_bash_offers_what_can_be_explained(capsule: Daemon) -> None:
    assert offered(capsule, "explain", "") == ["Container", "MicroVM", "Volume"]
    assert offered(capsule, "explain", "Container.health.ret") == ["Container.health.retries"]
    assert offered(capsule, "postmortem", "") == []  # hosted, it had no update yet


def test_a_machine_that_does_not_answer_offers_nothing_and_says_nothing(capsule: Daemon) -> None:
    assert offered(capsule, "get", "", CAPSULE_HOST="unix:/nonexistent") == []
    assert offered(capsule, "get", "--capsule", "unix:/nonexistent", "") == []


def test_bash_offers_behind_options_that_stand_before_the_verb(capsule: Daemon) -> None:
    capsule.apply(manifest("ahead", SERVE))
    capsule.good("context", "add", "ahead-home", "--socket", "/nonexistent")
    assert typed(capsule, "capsulectl --capsule ahead") == ["ahead-home"]
    assert typed(capsule, "capsulectl -q --capsule ahead") == ["ahead-home"]
    assert typed(capsule, "capsulectl --ca") == ["--capsule"]
    assert typed(capsule, "capsulectl -q lo") == ["logs"]
    assert typed(capsule, "capsulectl -q logs ahe") == ["ahead"]
    assert typed(capsule, "capsulectl --capsule ahead-home context us") == ["use"]
    assert typed(capsule, "capsulectl --capsule ahead-home logs ahe") == [], "it is asked, and does not answer"
    capsule.good("context", "rm", "ahead-home")
    capsule.good("delete", "ahead", "--yes")


def test_bash_offers_words_that_are_no_names(capsule: Daemon) -> None:
    capsule.good("volume", "create", "tab-words", "16MiB")
    capsule.good("volume", "snapshot", "tab-words", "words-kept")
    assert offered(capsule, "list", "--phase", "pe") == ["pending"]
    assert offered(capsule, "rollback", "web", "--to", "") == ["previous", "healthy"]
    assert offered(capsule, "rollback", "volume/tab-words", "--to", "") == ["words-kept"]
    assert offered(capsule, "rollback", "--to", "") == []
    assert offered(capsule, "history", "--type", "journal.che") == ["journal.checkpointed"]
    assert "journal." in offered(capsule, "history", "--type", "journ")
    assert offered(capsule, "volume", "snapshot-delete", "volume/tab-words", "") == ["words-kept"]
    capsule.good("volume", "delete", "tab-words", "--yes")


@pytest.mark.needs("fish")
def test_fish_offers_behind_options_that_stand_before_the_verb(capsule: Daemon) -> None:
    capsule.good("context", "add", "fishy-home", "--socket", "/nonexistent")
    for line, says in (
        ("--capsule fis", "fishy-home\tunix:/nonexistent\n"),
        ("-q context use fis", "fishy-home\tunix:/nonexistent\n"),
        ("--capsule fishy-home snap", ""),
        ("--capsule fishy-home logi", ""),
        ("--capsule fishy-home whoa", "whoami\tShow who you are to the capsule, and with which role.\n"),
    ):
        script = f"capsulectl completion fish | source; complete -C 'capsulectl {line}'"
        done = subprocess.run(
            ["fish", "-c", script], env=environment(capsule), capture_output=True, text=True, check=False
        )
        assert (done.stdout, done.stderr) == (says, ""), line
    capsule.good("context", "rm", "fishy-home")


@pytest.mark.needs("fish")
def test_fish_offers_names_with_their_phases(capsule: Daemon) -> None:
    capsule.apply(manifest("fishy", SERVE), "--wait")
    script = "capsulectl completion fish | source; complete -C 'capsulectl get fis'"
    done = subprocess.run(["fish", "-c", script], env=environment(capsule), capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("fishy\tRunning\n", "")
    capsule.good("delete", "fishy", "--yes")


@pytest.mark.needs("zsh")
def test_zsh_completes_a_name(capsule: Daemon) -> None:
    capsule.apply(manifest("zipped", SERVE), "--wait")
    with window() as made:
        made.run(["zsh", "-f", "-i"], environment(capsule))
        made.type("autoload -Uz compinit; compinit -u -D; PS1='rea''dy '; source <(capsulectl completion zsh)\r")
        made.sees("ready ")
        made.type("capsulectl get zi\t")
        made.sees("zipped")
    capsule.good("delete", "zipped", "--yes")


@pytest.mark.needs("zsh")
def test_zsh_completes_behind_options_that_stand_before_the_verb(capsule: Daemon) -> None:
    capsule.good("context", "add", "zipped-home", "--socket", "/nonexistent")
    with window() as made:
        made.run(["zsh", "-f", "-i"], environment(capsule))
        made.type("autoload -Uz compinit; compinit -u -D; PS1='rea''dy '; source <(capsulectl completion zsh)\r")
        made.sees("ready ")
        made.type("capsulectl --capsule zip\t")
        made.sees("zipped-home")
        made.type("whoa\t")
        made.sees("whoami")
        made.type("\x15capsulectl -q context use zip\t")
        made.sees("use zipped-home")
    capsule.good("context", "rm", "zipped-home")
