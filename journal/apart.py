"""Looking at a journal from a safe distance: in a process of its own, whose death is a finding and not the asker's.

Damaged pages abort the process that reads them, and a truncated file kills it with SIGBUS. The daemon starts the same
command through its own loop (capsuled/examine.py); here it is for the command line, which has none.
"""

import signal
import subprocess
import sys
from pathlib import Path

import msgspec

from journal.errors import JournalBusy
from journal.head import Head
from journal.verify import Finding, Report


def module(name: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs a module of this installation, whatever lies in the working directory."""
    return (sys.executable, "-P", "-m", name, *arguments)


def verification(directory: Path, fold_version: int | None = None, head: Head | None = None) -> tuple[str, ...]:
    """The command of a proof: see journal.verify."""
    options: list[str] = []
    if fold_version is not None:
        options += ["--fold", str(fold_version)]
    if head is not None:
        options += ["--head", f"{head.seq}:{head.hash.hex()}"]
    return module("journal.verify", str(directory), *options)


def report_of(out: bytes, died: str = "") -> Report:
    """The report that such a process printed; of one that `died` first, what it had proven until then. Raises
    JournalBusy where it found no place among the readers."""
    *proven, last = out.splitlines() or [b""]
    if not died:
        report = msgspec.json.decode(last, type=Report)
        if report.busy:
            raise JournalBusy(report.busy)
        return report
    first, seq = map(int, proven[-1].split()) if proven else (0, 0)
    problem = f"the journal's pages are damaged; reading them failed behind entry {seq}: {died}"
    return Report(seq - first + 1 if seq else 0, first, seq, "", (Finding(problem),))


def verify_apart(directory: Path) -> Report:
    """The proof of all entries in `directory`. Raises JournalBusy."""
    done = subprocess.run(verification(directory), capture_output=True, check=False)
    if not done.returncode:
        return report_of(done.stdout)
    return report_of(done.stdout, how_it_ended(done.returncode) + _last_line(done.stderr))


def how_it_ended(code: int) -> str:
    """An exit code in words; negative ones are signals."""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit {code}"


def _last_line(said: bytes) -> str:
    lines = said.decode(errors="replace").strip().splitlines()
    return f": {lines[-1][-300:]}" if lines else ""
