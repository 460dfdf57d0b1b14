"""PID 1 of a microVM: it prepares the machine, starts the payload, and ends with it.

It sees to three things, in this order: that the payload's end is told when all that it wrote is on its disks; that the
machine never hangs, whatever fails; and that the daemon can speak with the guest meanwhile, by `guest/service`.
"""

import os
import select
import time

from guest import agent, boot, cgroups, console, ending, kernel, payload
from guest.becoming import Unexecutable
from guest.loop import Loop
from guest.orders import Lost
from guest.pump import Pump

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guest.orders import Orders
    from guest.run import Run

_DRAIN_S = 5.0
"""For the payload's last words to go out. What then still has them in its pipe has nobody who reads."""

_GOES_ON_S = 0.2
"""A payload that lives so long after one of its processes was killed goes on without it."""


class Guest:
    """What there is of the machine, as far as it has come."""

    def __init__(self) -> None:
        self.run: Run | None = None
        self.disks: dict[str, str] = {}
        self.end = -1
        self.loop = Loop()
        self.outcome: dict[str, int | str] = {}
        self.suffered = ending.Sparing()

    def live(self) -> None:
        """From the beginning to the payload's end."""
        boot.settle()
        self.run, self.disks, ports = boot.machine()
        self.end = os.open(ports[boot.END], os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        pumps = [
            Pump(self.loop, os.open(ports[name], os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK))
            for name in (boot.STDOUT, boot.STDERR)
        ]
        boot.prepare(self.run, self.disks)
        try:
            pid = payload.start(self.run, (pumps[0].writing, pumps[1].writing))
        except Unexecutable as error:
            self.outcome = {"unexecutable": str(error), "reason": error.reason}
            return
        self._tell_started()
        for pump in pumps:
            pump.begin()
        self.loop.process(pid, self.ended)
        events = cgroups.memory_events()
        self.loop.watch(events, select.POLLPRI, lambda: self._news(cgroups.oom_kills(events)))
        self.attend(agent.start(self.loop, self.run, self.disks, pid), pumps)

    def attend(self, orders: "Orders", pumps: list[Pump]) -> None:
        """To the payload's end, and until what it said last has gone out. Raises Lost before that end only."""
        try:
            self.loop.run()
        except Lost:
            if not self.outcome:
                raise  # else both have ended in the same round
        orders.close()
        self._drain(pumps)

    def _tell_started(self) -> None:
        os.write(self.end, ending.record({"started": time.clock_gettime_ns(time.CLOCK_BOOTTIME)}))

    def _news(self, kills: int) -> None:
        """Something was killed for want of memory. What the payload ends with is told with its end."""
        if self.suffered.worth(kills):
            self.loop.after("oom", _GOES_ON_S, lambda: self._tell_suffered(kills))

    def _tell_suffered(self, kills: int) -> None:
        try:
            os.write(self.end, ending.record({"oom": kills}))
        except BlockingIOError:
            pass  # the last word has the number, too

    def ended(self, code: int) -> None:
        """The payload has; a signal is negative."""
        self.outcome = {"exit": code} if code >= 0 else {"signal": -code}
        kills = cgroups.oom_kills()
        if kills:
            self.outcome["oom"] = kills
        self.loop.stop()

    def _drain(self, pumps: list[Pump]) -> None:
        late: list[bool] = []
        self.loop.after("drain", _DRAIN_S, lambda: late.append(True))
        while not late and not all(pump.done for pump in pumps):
            self.loop.turn()


def main() -> None:
    """Never returns."""
    console.open_standard()
    guest = Guest()
    try:
        guest.live()
    except BaseException as error:
        what = console.described(error)
        console.fault(what)
        guest.outcome = guest.outcome or {"fault": what}  # what the payload ended with is known for good
    ending.finish(guest.run, guest.disks, guest.end, guest.outcome)
    kernel.power_off()
