"""What was seen of a machine's memory, compared with what it says now."""

from pathlib import Path

import pytest

from capsulectl.heads import NONE, Heads, Seen, Told, fits, keep, load, told_in

HOME = "0123456789abcdef"
SEEN = Seen(HOME, 500, "aa" * 32)


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPSULE_CONFIG_DIR", str(tmp_path))


def hear(heads: Heads, told: Told) -> None:
    """An answer to a call that was made just now."""
    heads.hear(told, heads.question())


@pytest.mark.parametrize(
    ("told", "good"),
    [
        (Told(HOME, 1, 500, "aa" * 32, "aa" * 32), True),
        (Told(HOME, 1, 900, "bb" * 32, "aa" * 32), True),
        (Told(HOME, 601, 900, "bb" * 32, ""), True),  # cut behind a checkpoint
        (Told(HOME, 1, 400, "bb" * 32, ""), False),  # an older state
        (Told(HOME, 1, 900, "bb" * 32, "cc" * 32), False),  # another history
        (Told("f" * 16, 1, 900, "bb" * 32, "aa" * 32), False),  # another journal
    ],
)
def test_a_journal_is_the_one_that_was_seen_or_not(told: Told, good: bool) -> None:
    assert fits(SEEN, told) is good


def test_what_is_newer_is_kept_and_what_does_not_fit_is_said_each_time_until_it_is_accepted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = Heads("home", lambda seen, told: "")
    assert first.question().metadata == (("capsule-head", "0"),)
    hear(first, Told(HOME, 1, 500, "aa" * 32, ""))
    assert load("home") == SEEN and load("other") == NONE and capsys.readouterr().err == ""
    for _ in range(2):
        later = Heads("home", lambda seen, told: "")
        for _ in range(2):
            hear(later, Told(HOME, 1, 400, "bb" * 32, ""))
        said = capsys.readouterr().err
        assert said.count("WARNING: its journal ends at entry 400, and entry 500 was seen here") == 1
        assert load("home") == SEEN
    keep("home", Seen(HOME, 400, "bb" * 32))
    hear(Heads("home", lambda seen, told: ""), Told(HOME, 1, 401, "cc" * 32, "bb" * 32))
    assert capsys.readouterr().err == "" and load("home").seq == 401


def test_what_can_be_done_about_it_stands_in_lines_that_can_be_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    keep("home", SEEN)
    hear(Heads("home", lambda seen, told: ""), Told(HOME, 1, 400, "bb" * 32, ""))
    first, *rest = capsys.readouterr().err.splitlines()
    assert first.startswith("capsulectl: WARNING: ") and not any(line.startswith("capsulectl: ") for line in rest)
    commands = [line.strip().partition("   ")[0] for line in rest if line.startswith("  ")]
    assert commands == ["capsulectl journal verify", "capsulectl journal accept"]


def test_of_calls_that_are_on_their_way_at_once_each_answer_is_about_what_its_own_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    keep("home", SEEN)
    heads = Heads("home", lambda seen, told: "")
    slow, quick = heads.question(), heads.question()
    heads.hear(Told(HOME, 1, 505, "ee" * 32, "aa" * 32), slow)
    heads.hear(Told(HOME, 1, 502, "bb" * 32, "aa" * 32), quick)  # answered first, and heard of last
    assert capsys.readouterr().err == "" and load("home") == Seen(HOME, 505, "ee" * 32)
    hear(heads, Told(HOME, 1, 502, "bb" * 32, ""))
    assert "WARNING: its journal ends at entry 502, and entry 505 was seen here" in capsys.readouterr().err


def test_what_the_journal_explains_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    keep("home", SEEN)
    told = Told("f" * 16, 1, 300, "bb" * 32, "")
    hear(Heads("home", lambda seen, told: "it was restored"), told)
    assert capsys.readouterr().err == "capsulectl: it was restored\n"
    hear(Heads("home", lambda seen, told: ""), Told("f" * 16, 1, 301, "dd" * 32, "bb" * 32))
    assert capsys.readouterr().err == "" and load("home").seq == 301


def test_restores_are_kept_beside_the_head_and_a_file_without_them_is_read() -> None:
    heads = Heads("home", lambda seen, told: "it was restored")
    hear(heads, Told(HOME, 1, 500, "aa" * 32, ""))
    assert load("home") == SEEN, "an older daemon says nothing of them"
    hear(heads, Told(HOME, 1, 500, "aa" * 32, "aa" * 32, ()))
    assert load("home") == SEEN._replace(restored=())
    hear(heads, Told(HOME, 1, 700, "bb" * 32, "aa" * 32, (9, 7)))
    hear(heads, Told("f" * 16, 1, 800, "cc" * 32, "", (12, 7)))
    assert load("home") == Seen("f" * 16, 800, "cc" * 32, (12, 7, 9)), "of a journal that was here before, too"
    hear(heads, Told("f" * 16, 1, 801, "dd" * 32, "cc" * 32))
    assert load("home").restored is None, "what may have been since is not known"


def test_a_rewritten_history_is_called_so(capsys: pytest.CaptureFixture[str]) -> None:
    keep("home", SEEN)
    hear(Heads("home", lambda seen, told: ""), Told(HOME, 1, 900, "bb" * 32, "cc" * 32))
    assert (
        "entry 500 of its journal is not the one that was seen here: history was rewritten" in capsys.readouterr().err
    )


def test_a_daemon_that_says_nothing_is_believed_nothing() -> None:
    assert told_in(None) is None and told_in((("capsule-head", "a b"),)) is None
    assert told_in((("capsule-head", f"{HOME} 1 5 {'a' * 64}"), ("capsule-head-then", ""))) == Told(
        HOME, 1, 5, "a" * 64, ""
    )
    with_times = (("capsule-head", f"{HOME} 1 5 {'a' * 64}"), ("capsule-head-restored", "9 x 7"))
    assert told_in(with_times) == Told(HOME, 1, 5, "a" * 64, "", (9, 7))
    assert told_in((with_times[0], ("capsule-head-restored", ""))) == Told(HOME, 1, 5, "a" * 64, "", ())
