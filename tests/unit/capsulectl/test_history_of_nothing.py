"""What is said where nothing is remembered of what was asked for."""

import pytest

from capsulectl.history import _or_none


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("5", "nothing that is so is remembered: `capsulectl history show 5` shows the entry\n"),
        ("web", "nothing that is so is remembered\n"),
        ("", "nothing that is so is remembered\n"),
    ],
)
def test_a_number_may_be_an_entrys(name: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(_or_none([], False, name)) == [] and capsys.readouterr().err == says
