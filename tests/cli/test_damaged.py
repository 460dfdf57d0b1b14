"""The command line on a journal that is damaged, without a machine: what is wrong is said, and what is proven is saved."""

import os
import subprocess
from pathlib import Path

import pytest

from journal.apart import report_of
from journal.reader import Reader
from tests.support.daemon import BIN, CTL
from tests.support.entries import keep, ledger, live_once, with_body

ENTRIES = 6_000


def ctl(*arguments: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([CTL, *arguments], capture_output=True, text=True, check=False, cwd=cwd)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    keep(tmp_path / "journal", ledger(ENTRIES).entries)
    live_once(tmp_path / "journal")
    return tmp_path / "journal"


def test_a_truncated_journal_is_a_finding_and_not_the_end_of_the_command(directory: Path, tmp_path: Path) -> None:
    data = directory / "data.mdb"
    os.truncate(data, data.stat().st_size // 2 // 4096 * 4096)
    verified = ctl("journal", "verify", "--dir", str(directory))
    assert verified.returncode == 1 and "Finding:  the journal's pages are damaged" in verified.stdout
    assert "SIGBUS" in verified.stdout and "the journal is not whole" in verified.stderr
    exported = ctl("journal", "export", "--dir", str(directory), str(tmp_path / "memory"))
    assert exported.returncode == 1 and "nothing can be exported: the journal's pages are damaged" in exported.stderr
    assert not (tmp_path / "memory").exists() and not list(tmp_path.glob(".memory*"))


def test_what_is_proven_before_an_altered_entry_is_exported(directory: Path, tmp_path: Path) -> None:
    entries = ledger(ENTRIES).entries
    keep(directory, [with_body(entries[3_999], entries[3_998].body)])
    exported = ctl("journal", "export", "--dir", str(directory), str(tmp_path / "memory"))
    assert exported.returncode == 1
    assert "holds entries 1 to 3999, which are proven, and not the rest: the body of entry 4000" in exported.stderr
    assert ctl("journal", "import", str(tmp_path / "memory"), "--dir", str(tmp_path / "copy")).returncode == 0
    verified = ctl("journal", "verify", "--dir", str(tmp_path / "copy"))
    assert verified.returncode == 0 and "3999 entries" in verified.stdout


def test_an_archive_is_private_and_the_same_on_standard_output(directory: Path, tmp_path: Path) -> None:
    archive = tmp_path / "memory"
    archive.touch(0o644)
    filed = ctl("journal", "export", "--dir", str(directory), str(archive), "--force")
    assert filed.returncode == 0 and archive.stat().st_mode & 0o777 == 0o600, filed.stderr
    printed = subprocess.run([CTL, "journal", "export", "--dir", directory, "-"], capture_output=True, check=False)
    assert printed.returncode == 0 and printed.stdout == archive.read_bytes()
    assert printed.stderr.decode().startswith("standard output: ")
    for mistyped in ("-x", "--to"):
        failed = ctl("journal", "export", mistyped)
        assert failed.returncode == 2 and f"unknown option {mistyped}" in failed.stderr


def test_a_reader_that_died_has_told_how_far_it_came(directory: Path, tmp_path: Path) -> None:
    report = report_of(b"1 256\n1 512\n1 7", "killed by SIGBUS")
    assert (report.checked, report.first_seq, report.head_seq) == (512, 1, 512), "the last line may be torn"
    assert report.findings[0].problem.endswith("failed behind entry 512: killed by SIGBUS")
    assert report_of(b"", "killed by SIGABRT").head_seq == 0
    environment = subprocess.run(
        [BIN / "python", "-m", "journal.verify", str(directory)], capture_output=True, text=True, check=True
    )
    *told, last = environment.stdout.splitlines()
    assert told[0] == "1 256" and len(told) == (ENTRIES - 1) // 256 and last.startswith("{")
    reader = Reader.open(directory)
    assert report_of(environment.stdout.encode()).head_seq == ENTRIES == reader.cursor()
    reader.close()


def test_what_lies_in_the_working_directory_is_not_run(directory: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    (trap / "journal").mkdir(parents=True)
    (trap / "journal" / "__init__.py").write_text("raise SystemExit('sprung')")
    verified = ctl("journal", "verify", "--dir", str(directory), cwd=trap)
    assert verified.returncode == 0 and "Whole:    yes" in verified.stdout, verified.stderr
