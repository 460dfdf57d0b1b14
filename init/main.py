"""PID 1's loop: signals and the daemon's words come in, and one of a few things is done.

    signal                          what it means
    SIGTERM, SIGPWR, SIGRTMIN+4     power off, in order
    SIGINT (Ctrl-Alt-Del), SIGRTMIN+5   reboot, in order
    SIGHUP                          the daemon ends and is started again; workloads run on

A machine is ended in three steps: the daemon is told to end and closes its journal; `capsuled --halt` ends the
workloads in their order and unmounts their volumes; then everything else is ended and unmounted (ending.py). Each step
has a time of its own, behind which it is killed and the next one comes. What even that does not end waits in the
kernel: the watchdog is petted for its sake only while the disk gets on with what is to be written (flushing.py).
"""

import os
import select
import signal
import time

from init import console, ending, mounts, records
from init.flushing import Flushing
from init.life import Life
from init.recorder import STDERR_BYTES, Recorder, of_this_boot
from init.trial import Trial
from init.watchdog import PET_S, Watchdog
from init.words import Listener

COMMAND = ("/usr/bin/python3", "-P", "-X", "faulthandler", "-m", "capsuled", "--os")
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": "linux",
    "CAPSULE_INIT_FD": "3",
}
ORDERS: dict[int, str] = {
    signal.SIGTERM: "poweroff",
    signal.SIGPWR: "poweroff",
    signal.SIGRTMIN + 4: "poweroff",
    signal.SIGINT: "reboot",
    signal.SIGRTMIN + 5: "reboot",
}
CTRL_ALT_DEL = "/proc/sys/kernel/ctrl-alt-del"
OOM_SCORE = "/proc/self/oom_score_adj"
SPARED = "-900"
"""As the unit of a hosted daemon has it. What is started inherits that; workloads are given 0 again."""

DAEMON_ENDS_S = 30.0
WORKLOADS_END_S = 90.0
HALT_SLACK_S = 60.0
FAULT_S = 1.0
ABORT_S = 5.0
"""For a hung daemon to write where it hangs, before it is killed."""


GIVEN_UP = {
    "daemon-crashes": "its daemon ended again and again",
    "window-over": "nobody has confirmed it",
    "state-lost": "it found no state to start on, or could not keep there what its trial would be undone with",
}


class Init:
    """The state of the loop. `consoles` are descriptors that everybody may read; `recorder` keeps what a tentative boot
    tells the next one; `trial` is that of a new system."""

    def __init__(
        self,
        consoles: tuple[int, ...],
        command: tuple[str, ...] = COMMAND,
        recorder: Recorder | None = None,
        trial: Trial = Trial(),
    ) -> None:
        self._consoles = consoles
        self._recorder = recorder or Recorder(None)
        self._command = command
        self._trial = trial
        self._life = Life()
        self._watchdog = Watchdog()
        self._flushing = Flushing(PET_S)
        self._poll = select.poll()
        self._child = 0
        self._started_at = 0.0
        self._words: tuple[int, Listener] | None = None
        self._start_at: float | None = 0.0
        self._kill_at: float | None = None
        self._hung = False
        self._order = ""
        self._restarts = False
        self._halting = False
        self._why = ""
        self.ended = False

    def say(self, text: str) -> None:
        """On every console: there is nobody else to tell, but the boot after a tentative one."""
        self._recorder.note("said", text)
        console.show(self._consoles, f"capsule: {text}")

    # --- the loop ------------------------------------------------------------------------------------------------

    def run(self) -> str:
        """Until the machine is to end; returns how: poweroff or reboot."""
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in (*ORDERS, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        if self._trial.runs:
            self._watchdog.open()  # the initramfs has set it going; where there is none, the daemon's drivers bring one
        self._poll.register(reading, select.POLLIN)
        while not self.ended:
            try:
                self._turn(reading)
            except Exception as error:  # PID 1 that ends is a machine that panics
                self.say(f"a fault in PID 1 ({type(error).__name__}: {error}), which goes on")
                time.sleep(FAULT_S)
        self._watchdog.pet()
        return self._order

    def hold(self) -> None:
        """What is left to do when `run` has returned takes its time: no reset comes while the disk gets on."""
        if self._flushing.falls(time.monotonic()):
            self._watchdog.pet()

    def _turn(self, signals: int) -> None:
        for fd, _ in self._poll.poll(self._timeout_ms()):
            if fd == signals:
                for number in os.read(signals, 4096):
                    self._signalled(number)
            else:
                self._listen(fd)
        self._tick(time.monotonic())

    def _timeout_ms(self) -> int | None:
        now = time.monotonic()
        moments = [self._start_at, self._kill_at, self._life.hung_at() if not self._hung and not self._order else None]
        if self._watchdog.runs:
            moments.append(now + PET_S)
        if self._trial.runs and not self._order:
            moments.append(self._trial.ends_at)
        waits = [one - now for one in moments if one is not None]
        return max(0, int(min(waits) * 1000) + 1) if waits else None

    def _tick(self, now: float) -> None:
        """What is due."""
        if self._may_pet(now):
            self._watchdog.pet()
        given_up = "" if self._order else self._trial.over(now, self._life.failures)
        if given_up:
            self._give_up(given_up)
        if self._start_at is not None and now >= self._start_at and not self._child:
            self._start_at = None
            self._start(now)
        hung_at = self._life.hung_at()
        if hung_at is not None and now >= hung_at and not self._hung and not self._order:
            self.say("capsuled does not answer: it is ended and started again, workloads run on")
            self._hung = True
            self._kill(signal.SIGABRT)
            self._kill_at = now + ABORT_S
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at = None
            if self._order:
                self.say("what was told to end has not: it is killed")
            self._kill(signal.SIGKILL)

    def _may_pet(self, now: float) -> bool:
        """Whether there is hope: of a machine that is to end, while something still has its time to do so, or the disk
        gets on."""
        if not self._order:
            return self._life.may_pet(now)
        return self._flushing.falls(now) or self._kill_at is not None

    def _give_up(self, why: str) -> None:
        self.say(f"the new system is given up, {GIVEN_UP[why]}: the machine goes back to the one before")
        self._recorder.note_last(why)
        self._end("reboot")

    def _signalled(self, number: int) -> None:
        if number == signal.SIGCHLD:
            self._reap()
        elif number == signal.SIGHUP:
            # Between two lives the next one comes anyway; how it ends is its own.
            if self._child and not self._order:
                self._restarts = True
                self._kill(signal.SIGTERM)
        elif number in ORDERS:
            self._end(ORDERS[number])

    # --- the daemon ----------------------------------------------------------------------------------------------

    def _start(self, now: float) -> None:
        rescue = self._life.starts(now)
        options: tuple[str, ...] = ()
        if rescue:
            self.say(f"rescue: capsuled ended {self._life.failures} times in a row. It is started read-only")
            options = ("--read-only", f"it ended {self._life.failures} times in a row, at last with {self._why}")
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            self._spawn((*self._command, *options), writing)
        except OSError as error:
            os.close(reading)
            self.say(f"capsuled cannot be started: {error.strerror}")
            self._start_at = now + self._life.ends(now)
            return
        finally:
            os.close(writing)
        os.set_blocking(reading, False)
        self._words = (reading, Listener())
        self._poll.register(reading, select.POLLIN)

    def _spawn(self, argv: tuple[str, ...], words: int | None) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | (os.O_TRUNC if words is not None else 0)
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, records.STDERR, flags, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        if words is not None:
            actions.append((os.POSIX_SPAWN_DUP2, words, 3))
        self._child = os.posix_spawn(argv[0], argv, ENVIRONMENT, file_actions=actions, setsid=True)
        self._started_at = time.monotonic()
        self._hung = False

    def _listen(self, fd: int) -> None:
        if self._words is None or fd != self._words[0]:
            return
        try:
            data = os.read(fd, 4096)
        except BlockingIOError:
            return
        if not data:
            self._stop_listening()
            return
        for word, number in self._words[1].heard(data):
            self._life.hears(time.monotonic(), word, number)
            self._trial.hears(word)
            if word in ("poweroff", "reboot"):
                self._end(word)
            elif word == "lost" and self._trial.runs and not self._order:
                self._give_up("state-lost")
            elif word == "watchdog":
                problem = self._watchdog.open()
                if problem:
                    self.say(f"no watchdog: {problem}")
            elif word == "alive":
                records.cut_stderr()

    def _stop_listening(self) -> None:
        if self._words is not None:
            self._poll.unregister(self._words[0])
            os.close(self._words[0])
            self._words = None

    def _kill(self, number: int) -> None:
        if self._child:
            os.kill(self._child, number)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._child:
                self._child = 0
                self._kill_at = None
                self._daemon_ended(status)

    def _daemon_ended(self, status: int) -> None:
        now, halted = time.monotonic(), self._halting
        if self._words is not None:
            self._listen(self._words[0])  # its last word, which may be an order: its end is often looked at first
        self._stop_listening()
        # By SIGTERM ends what did not listen to it yet.
        as_asked = self._restarts and not self._hung and status in (0, signal.SIGTERM)
        self._restarts = False
        if halted:
            self.ended = True
        elif self._order:
            if not self._halting:
                self._halt(now)
        elif as_asked:
            self._life.ends_as_asked()
            self._start_at = now
        else:
            self._why = records.how_text(status, self._hung)
            at_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            lived_ms = int((now - self._started_at) * 1000)
            records.write(at_ns, lived_ms, self._why)
            self._recorder.note_end(lived_ms, self._why, records.tail(STDERR_BYTES))
            delay = self._life.ends(now)
            self._start_at = now + delay
            self.say(f"capsuled ended with {self._why}; started again in {delay:.1f} s, workloads run on")

    # --- the end -------------------------------------------------------------------------------------------------

    def _end(self, order: str) -> None:
        """The first order counts; a second one changes only what comes at the very end."""
        first, self._order = not self._order, order
        if not first:
            return
        self._recorder.note("ending", order)
        self.say("the machine is switched off" if order == "poweroff" else "the machine is started anew")
        self._flushing.bound()
        now = time.monotonic()
        self._start_at = None
        if self._child:
            self._kill(signal.SIGTERM)
            self._kill_at = now + DAEMON_ENDS_S
        else:
            self._halt(now)

    def _halt(self, now: float) -> None:
        self._halting = True
        try:
            self._spawn((*self._command, "--halt", "--within", f"{WORKLOADS_END_S:g}"), None)
        except OSError as error:
            self.say(f"workloads cannot be ended in their order: {error.strerror}")
            self.ended = True
            return
        self._kill_at = now + WORKLOADS_END_S + HALT_SLACK_S


def main() -> None:
    """As PID 1, from the first instruction to the last."""
    if os.getpid() != 1:
        raise SystemExit(
            "init is PID 1's program: the kernel starts it. To end the machine: kill -TERM 1 (INT: reboot)"
        )
    consoles = console.opened()
    os.environ.update(ENVIRONMENT)
    recorder = of_this_boot()
    recorder.note("init")
    recorder.tell_the_kernel()
    with open("/proc/cmdline") as file:
        trial = Trial(file.read())
    try:
        _live(Init(consoles, recorder=recorder, trial=trial))
    except BaseException as error:
        recorder.note_last(f"init {type(error).__name__}")
        raise


def take_keys(setting: str = CTRL_ALT_DEL) -> None:
    """Have Ctrl-Alt-Del be a signal to PID 1: left alone, the kernel resets the machine at once."""
    try:
        with open(setting, "w") as file:
            file.write("0\n")
    except OSError:
        pass  # then it stays the reset that it was


def be_spared(setting: str = OOM_SCORE) -> None:
    """Where memory runs out it is a workload that goes, and not who starts it again."""
    try:
        with open(setting, "w") as file:
            file.write(SPARED)
    except OSError:
        pass  # then the kernel chooses by size alone


def _live(init: Init) -> None:
    """Until the machine is off."""
    began_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    take_keys()
    be_spared()
    for problem in mounts.mount_all():
        init.say(problem)
    mounted_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    with open("/run/capsule/init/began", "w") as file:
        file.write(f"{began_ns} {mounted_ns}\n")
    order = init.run()
    ending.end_processes()
    init.say("the machine is off" if order == "poweroff" else "the machine starts anew")
    ending.finish(order, init.hold)
