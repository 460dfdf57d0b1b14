"""What the shell offers behind a Tab: verbs, options, and names from the machine when it answers."""

import shutil
import subprocess

import pytest

from tests.support.daemon import BIN, SERVE, Daemon, manifest
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
    return capsule.environment | {"PATH": f"{BIN}:{capsule.environment['PATH']}", "TERM": "xterm", **more}


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


def test_a_machine_that_does_not_answer_offers_nothing_and_says_nothing(capsule: Daemon) -> None:
    assert offered(capsule, "get", "", CAPSULE_HOST="unix:/nonexistent") == []
    assert offered(capsule, "get", "--capsule", "unix:/nonexistent", "") == []


@pytest.mark.skipif(shutil.which("fish") is None, reason="this machine lacks fish")
def test_fish_offers_names_with_their_phases(capsule: Daemon) -> None:
    capsule.apply(manifest("fishy", SERVE), "--wait")
    script = "capsulectl completion fish | source; complete -C 'capsulectl get fis'"
    done = subprocess.run(["fish", "-c", script], env=environment(capsule), capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("fishy\tRunning\n", "")
    capsule.good("delete", "fishy", "--yes")


@pytest.mark.skipif(shutil.which("zsh") is None, reason="this machine lacks zsh")
def test_zsh_completes_a_name(capsule: Daemon) -> None:
    capsule.apply(manifest("zipped", SERVE), "--wait")
    with window() as made:
        made.run(["zsh", "-f", "-i"], environment(capsule))
        made.type("autoload -Uz compinit; compinit -u -D; PS1='rea''dy '; source <(capsulectl completion zsh)\r")
        made.sees("ready ")
        made.type("capsulectl get zi\t")
        made.sees("zipped")
    capsule.good("delete", "zipped", "--yes")
