"""`journal verify --file`: an archive is proven here, without a machine, as far as it holds."""

import json
from pathlib import Path

import pytest

from capsulectl.errors import Failure
from capsulectl.journal import verify
from tests.support.updated import archived, init_exit


def test_a_whole_one_is_said_to_be_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verify(file=str(archived(init_exit(), tmp_path)), output="json")
    told = json.loads(capsys.readouterr().out)
    assert told["checked"] == told["headSeq"] - told["firstSeq"] + 1 > 1
    assert len(told["headHash"]) == 64 and told["findings"] == []


def test_one_that_is_cut_is_proven_up_to_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = archived(init_exit(), tmp_path)
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(Failure, match="the journal is not whole"):
        verify(file=str(file))
    assert "Finding:  the archive is cut" in capsys.readouterr().out


def test_what_is_none_is_refused_and_so_is_one_beside_a_journal(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("no archive")
    with pytest.raises(Failure, match="no journal archive"):
        verify(file=str(tmp_path / "x"))
    with pytest.raises(Failure, match="cannot be read"):
        verify(file=str(tmp_path / "none"))
    with pytest.raises(Failure, match="which of the two"):
        verify(dir=str(tmp_path), file=str(tmp_path / "x"))
