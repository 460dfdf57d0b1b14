"""A Ctrl-C in the midst of an import of generated code comes up behind it."""

import importlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from capsulectl import shielded

PRESSED = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nfor _ in range(1_000): pass\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory to import from, with the shield up."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    shielded.install()
    yield tmp_path
    for name in ("outer_pb2", "inner_pb2", "usual"):
        sys.modules.pop(name, None)


def test_it_is_raised_once_all_of_the_import_is_done(place: Path) -> None:
    done = place / "done"
    (place / "inner_pb2.py").write_text(PRESSED)
    (place / "outer_pb2.py").write_text(f"import inner_pb2\n{PRESSED}open({str(done)!r}, 'w').close()\n")
    with pytest.raises(KeyboardInterrupt):
        importlib.import_module("outer_pb2")
    assert done.exists()
    assert importlib.import_module("inner_pb2")


def test_any_other_import_is_broken_off_as_ever(place: Path) -> None:
    done = place / "done"
    (place / "usual.py").write_text(f"{PRESSED}open({str(done)!r}, 'w').close()\n")
    with pytest.raises(KeyboardInterrupt):
        importlib.import_module("usual")
    assert not done.exists()


def test_a_thread_that_meets_no_signal_imports_as_ever(place: Path) -> None:
    (place / "outer_pb2.py").write_text("THERE = 1\n")
    thread = threading.Thread(target=importlib.import_module, args=("outer_pb2",))
    thread.start()
    thread.join()
    assert sys.modules["outer_pb2"].THERE == 1
