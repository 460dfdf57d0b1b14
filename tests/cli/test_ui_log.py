"""The log on the page goes on with its workload, and is not asked for again and again where it cannot be read."""

from capsule.v1 import machine_pb2, workload_pb2
from capsulectl.errors import Failure
from tests.support.browser import Browser
from tests.support.page import NEWEST_EVENT, SHOWN, opened
from tests.unit.capsulectl.ui.told import SYNCED, Machine, Streamed, entry, watched

pytestmark = SHOWN


def running(run: int, phase: str = "RUNNING") -> machine_pb2.WatchItem:
    item = watched("web", phase)
    item.workload.status.run = run
    return item


def written(text: str) -> workload_pb2.WorkloadLogChunk:
    return workload_pb2.WorkloadLogChunk(data=f"{text}\n".encode(), at_unix_ns=1_000_000)


def read_log(page: Browser) -> None:
    page.run(
        "document.getElementById('log-of').value = 'web'; "
        "document.getElementById('log-of').dispatchEvent(new Event('change'))"
    )


def later(page: Browser) -> None:
    """Ten seconds on, by the page's own clock."""
    page.run("{ const now = performance.now.bind(performance); performance.now = () => now() + 10_000 }")


def logs_asked(machine: Machine) -> int:
    return sum(name == "WorkloadService/Logs" for name, _ in machine.asked)


def test_a_log_goes_on_when_its_workload_is_started_again(page: Browser, machine: Machine) -> None:
    workloads = Streamed(running(1), SYNCED)
    machine.streams = [Streamed(entry(1), entry(2)), workloads]
    with opened(page, machine):
        machine.streams.append(Streamed(written("the first run"), None))
        read_log(page)
        page.until("document.getElementById('log-note').textContent === 'It writes no more.'")
        workloads.queue.put(running(1, "STOPPED"))
        page.until("document.querySelector('#workloads .phase').textContent === 'Stopped'")
        later(page)
        machine.streams.append(Streamed(written("the second run")))
        workloads.queue.put(running(1, "FAILED"))
        page.until("document.querySelector('#workloads .phase').textContent === 'Failed'")
        assert logs_asked(machine) == 1, "what neither runs nor is about to writes nothing"
        workloads.queue.put(running(2))
        page.until("document.getElementById('log').textContent.includes('the second run')")
        assert page.text("#log-note") == "" and "the first run" not in page.text("#log")


def test_a_log_that_ended_with_the_machine_and_not_its_workload_goes_on(page: Browser, machine: Machine) -> None:
    entries = Streamed(entry(1), entry(2))
    machine.streams = [entries, Streamed(running(1), SYNCED)]
    with opened(page, machine):
        machine.streams += [Streamed(None), Streamed(written("still here"))]
        read_log(page)
        page.until("document.getElementById('log-note').textContent === 'It writes no more.'")
        later(page)
        entries.queue.put(entry(3))
        page.until("document.getElementById('log').textContent.includes('still here')")


def test_a_log_that_cannot_be_read_is_not_asked_for_with_every_news(page: Browser, machine: Machine) -> None:
    entries, why = Streamed(entry(1), entry(2)), Failure("nobody notes when a console's lines were written")
    machine.streams = [entries, Streamed(running(1), SYNCED)]
    with opened(page, machine):
        machine.streams += [Streamed(why) for _ in range(4)]
        read_log(page)
        page.until("document.getElementById('log-note').textContent.startsWith('nobody notes')")
        for seq in (3, 4, 5):
            entries.queue.put(entry(seq))
            page.until(f"{NEWEST_EVENT} === '{seq}'")
        assert logs_asked(machine) == 1
        machine.streams[:] = [Streamed(written("by now it can"))]
        later(page)
        entries.queue.put(entry(6))
        page.until("document.getElementById('log').textContent.includes('by now it can')")
