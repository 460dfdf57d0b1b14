"""Making room, cut short at every step: what is left is whole, and the next try comes to the same end."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from capsuled.logs import cutting, holes
from capsuled.logs.cutting import cut_front, cut_runs
from capsuled.logs.files import INDEX_SUFFIX, SUFFIXES, RunFiles, path_of, runs_of, size_of
from capsuled.logs.holes import NoHoles, front_of, line_behind
from capsuled.logs.index import ERR, OUT
from capsuled.logs.reading import RunReader
from capsuled.logs.retention import Cut, cuts, over

BOUND = 256 << 10
LINES = {1: 3_000, 2: 9_000, 3: 20_000}


class Killed(BaseException):
    """The daemon dies here."""


def made(directory: Path) -> Path:
    for run, count in LINES.items():
        for suffix in SUFFIXES.values():
            path_of(directory, 7, run, suffix).touch()
        files = RunFiles(directory, 7, run)
        files.begin(1_700_000_000_000, fresh=True)
        for start in range(0, count, 100):
            for stream, word in ((OUT, b"out"), (ERR, b"err")):
                with files.paths[stream].open("ab") as file:
                    file.writelines(b"%s %d %06d\n" % (word, run, number) for number in range(start, start + 100))
                files.grown(stream, 1_700_000_000_000 + start)
        files.close()
    return directory


def kept(directory: Path, run: int, stream: int) -> list[int]:
    reader = RunReader(directory, 7, run, (stream,))
    try:
        text = b"".join(piece.data for piece in reader.pieces(timed=False, final=True))
    finally:
        reader.close()
    return [int(line.split()[2]) for line in text.splitlines()]


def plan(directory: Path) -> list[Cut]:
    sizes = [size_of(directory, 7, run) for run in runs_of(directory, 7)]
    planned = cuts(BOUND, sizes)
    assert cut_runs(directory, 7, planned, 3, BOUND // 8) is None
    return planned


def state(directory: Path) -> dict[int, tuple[list[int], list[int]]]:
    return {run: (kept(directory, run, OUT), kept(directory, run, ERR)) for run in runs_of(directory, 7)}


def dying_at(step: int, real: Callable[..., object], done: list[int]) -> Callable[..., object]:
    """Dies before the operation with this number; that is after the one before it, too."""

    def once(*arguments: object, **options: object) -> object:
        if len(done) == step:
            raise Killed
        done.append(step)
        return real(*arguments, **options)

    return once


def test_a_daemon_killed_at_any_step_leaves_whole_logs_and_the_next_one_comes_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = made(tmp_path)
    with tempfile.TemporaryDirectory() as whole:
        clean = Path(shutil.copytree(original, Path(whole) / "log"))
        plan(clean)
        wanted = state(clean)
    assert set(wanted) == {2, 3} and all(0 < len(one) < LINES[3] for one in wanted[3])
    step, deaths = 0, 0
    while True:
        done: list[int] = []
        with tempfile.TemporaryDirectory() as scratch, monkeypatch.context() as patch:
            log = Path(shutil.copytree(original, Path(scratch) / "log"))
            patch.setattr(cutting, "punch", dying_at(step, holes.punch, done))
            patch.setattr(Path, "unlink", dying_at(step, Path.unlink, done))
            try:
                plan(log)
            except Killed:
                deaths += 1
            else:
                break
            patch.undo()
            for run, streams in state(log).items():
                for numbers in streams:
                    assert numbers == list(range(LINES[run] - len(numbers), LINES[run]))
            while over(BOUND, [size_of(log, 7, run) for run in runs_of(log, 7)]):
                plan(log)
            after = state(log)
            assert set(after) <= {1, 2, 3} and after.keys() >= {3}
            assert all(len(after[3][number]) >= len(wanted[3][number]) * 3 // 4 for number in (0, 1))
        step += 1
    assert deaths >= 7


def test_the_front_of_a_file_goes_in_whole_blocks_and_its_offsets_stay(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"%07d\n" % number for number in range(100_000)))
    before = path.stat()
    assert cut_front(path, 10_000) and cut_front(path, 10_000)
    after = path.stat()
    assert after.st_size == before.st_size and after.st_blocks < before.st_blocks / 20
    with path.open("rb") as file:
        front = front_of(file.fileno())
        assert front % 4096 == 0 and 10_000 - 4096 <= after.st_size - front <= 10_000
        file.seek(line_behind(file.fileno(), front))
        assert file.readline().strip().isdigit()


def test_a_file_that_has_come_too_far_is_emptied_not_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    path.write_bytes(bytes(100_000))
    monkeypatch.setattr(cutting, "FAR_BYTES", 99_999)
    assert not cut_front(path, 10_000)
    assert cut_front(path, 200_000)


def test_where_no_hole_can_be_punched_a_stream_is_emptied_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(fd: int, upto: int) -> int:
        raise NoHoles("not here")

    made(tmp_path)
    monkeypatch.setattr(cutting, "punch", refuses)
    planned = cuts(BOUND, [size_of(tmp_path, 7, run) for run in runs_of(tmp_path, 7)])
    whole = cut_runs(tmp_path, 7, planned, 3, BOUND // 8)
    assert whole == [OUT, ERR] and runs_of(tmp_path, 7) == [3]
    files = RunFiles(tmp_path, 7, 3)
    files.begin(1_700_000_100_000, fresh=False)
    for stream in whole:
        files.empty(stream)
    files.again(1_700_000_100_000)
    files.close()
    assert path_of(tmp_path, 7, 3, SUFFIXES[OUT]).read_bytes() == (
        b"[capsule] 260000 bytes of log were dropped here: this file system lets no part of a file go\n"
    )
    assert not over(BOUND, [size_of(tmp_path, 7, 3)])
    assert path_of(tmp_path, 7, 3, INDEX_SUFFIX).stat().st_size < 4096


def test_a_run_without_an_index_stops_no_cutting(tmp_path: Path) -> None:
    made(tmp_path)
    earlier = max(run for run in runs_of(tmp_path, 7) if run < 3)
    path_of(tmp_path, 7, earlier, INDEX_SUFFIX).unlink()
    planned = [Cut(run, keep_out=1 << 14, keep_err=1 << 14) for run in (earlier, 3)]
    assert cut_runs(tmp_path, 7, planned, 3, BOUND // 8) is None
    for run in (earlier, 3):
        assert path_of(tmp_path, 7, run, SUFFIXES[OUT]).stat().st_blocks * 512 <= 1 << 15
