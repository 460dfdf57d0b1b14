"""What a copy tells of what it could not take along."""

import pytest

from capsulectl.copying import _tell_rest

WORDS = [
    (0, 0, ""),
    (1, 0, "1 entry was left out"),
    (2, 0, "2 entries were left out"),
    (0, 1, "1 file became shorter while being read: its end is filled with zeros"),
    (0, 2, "2 files became shorter while being read: their ends are filled with zeros"),
]


@pytest.mark.parametrize(("left", "changed", "told"), WORDS)
def test_it_is_counted_as_one_speaks(left: int, changed: int, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    _tell_rest(left, changed)
    said = capsys.readouterr().err
    assert said.startswith(told) and bool(said) == bool(told)
