"""A process that hangs in the kernel."""

import signal
from pathlib import Path
from types import ModuleType

import pytest


def hanging(monkeypatch: pytest.MonkeyPatch, pid: int, waiting: ModuleType) -> None:
    """No signal reaches this process, and whoever is `waiting` for its end does so for a moment only."""
    send = signal.pidfd_send_signal

    def sent(process: int, number: int) -> None:
        if f"Pid:\t{pid}\n" not in Path(f"/proc/self/fdinfo/{process}").read_text():
            send(process, number)

    monkeypatch.setattr(signal, "pidfd_send_signal", sent)
    monkeypatch.setattr(waiting, "KILL_WAIT_S", 0.05)
