"""What a copy tells of what it could not take along."""

import pytest

from capsulectl.copying import _tell_rest


@pytest.mark.parametrize(("left", "told"), [(0, ""), (1, "1 entry was left out"), (2, "2 entries were left out")])
def test_what_was_left_out_is_counted_as_one_speaks(left: int, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    _tell_rest(left, 0)
    assert capsys.readouterr().err.startswith(told)
