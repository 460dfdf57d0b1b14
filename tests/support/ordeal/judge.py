"""What must be true after a kill, and at the end: judged by the answers, the processes and the logs, not by the plan."""

from collections import Counter
from pathlib import Path

from journal.codec import decode
from journal.events import WorkloadExited, WorkloadLost
from journal.reader import Reader
from projections.state import Machine
from tests.support.ordeal.operators import Acknowledged, Wish

_BY_A_SIGNAL = (137, 143)


def judge_memory(machine: Machine, memory: Acknowledged) -> list[str]:
    """Nothing that was acknowledged is forgotten, and nothing else is wished for."""
    wrong = []
    for (method, call_id), seq in memory.calls.items():
        record = machine.calls.get(("local", method, call_id))
        if record is None or record.seq != seq:
            wrong.append(f"{method} {call_id} was answered with entry {seq} and stands at {record}")
    for name in {*memory.wishes, *machine.workloads} - memory.open:
        wish, found = memory.wishes.get(name, Wish()), machine.workloads.get(name)
        remembered = "absent" if found is None or found.desired == "deleting" else found.desired
        token = "" if remembered == "absent" or found is None else found.spec.command[-1]
        if (remembered, token) != (wish.wanted, wish.token if wish.wanted != "absent" else ""):
            wrong.append(f"{name} was acknowledged as {wish}, and is remembered as {remembered} {token}")
    return wrong


def judge_processes(memory: Acknowledged, mark: str) -> list[str]:
    """Every container is as it was wished last: by the machine's own table of processes."""
    alive = Counter(token for token in _programs(mark))
    wrong = []
    for name, wish in memory.wishes.items():
        mine = {token: count for token, count in alive.items() if token.startswith(f"{mark}-{name}-")}
        wanted = wish.token if wish.wanted == "running" else ""
        wrong += [f"{name} runs {token}, and was wished {wish}" for token in mine if token != wanted]
        count = mine.get(wanted, 0)
        if wanted and (count > 1 or (wish.serves and count != 1)):
            wrong.append(f"{name} runs {count} times, and was wished {wish}")
    return wrong


def _programs(mark: str) -> list[str]:
    """The tokens of the programs that run."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (
                (entry / "cmdline").read_bytes().decode(errors="replace").split("\0") if entry.name.isdigit() else []
            )
        except OSError:
            continue
        if len(words) > 3 and words[:2] == ["sh", "-c"] and words[3].startswith(f"{mark}-"):
            found.append(words[3])
    return found


def judge_ends(journal: Path, logs: Path) -> list[str]:
    """What the journal says of each run's end is what the program itself wrote; none was begun twice."""
    told: dict[tuple[str, int, int], int | None] = {}
    wrong = []
    reader = Reader.open(journal)
    for stored in reader.entries():
        event = decode(stored)
        if isinstance(event, WorkloadExited | WorkloadLost):
            key = (event.name, event.uid, event.run)
            if key in told:
                wrong.append(f"the end of {key} is told twice")
            told[key] = event.exit_code if isinstance(event, WorkloadExited) else None
    reader.close()
    for file in sorted(logs.glob("*/*.out")):
        uid, run = (int(part) for part in file.stem.split("."))
        key, lines = (file.parent.name, uid, run), file.read_text().splitlines()
        if lines.count("born") > 1:
            wrong.append(f"{key} was started {lines.count('born')} times")
        if key in told:
            wrong += _judge_end(key, told[key], lines)
    return wrong


def _judge_end(key: tuple[str, int, int], code: int | None, lines: list[str]) -> list[str]:
    ended = next((int(line.removeprefix("end ")) for line in lines if line.startswith("end ")), None)
    if code is None:
        return [] if ended is None else [f"{key} is lost by the journal, and ended with {ended}"]
    if "born" not in lines:
        return [] if code in _BY_A_SIGNAL else [f"{key} exited with {code} by the journal, and never lived"]
    if code == ended or code in _BY_A_SIGNAL:
        return []
    return [f"{key} exited with {code} by the journal, and said {ended}"]
