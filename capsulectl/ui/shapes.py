"""The machine's messages as the page is told them: plain data, times in milliseconds, in the words of the command line.

Nothing that came from the machine goes on as it is: every text is one line of characters that can be shown. What would
turn the reading direction or hide, in a workload's message or a log line, becomes the number that it is.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

import msgspec
import yaml

from capsulectl.history import who
from capsulectl.render import plain, printable
from capsulectl.words import desired_word, enum_word, image_word, kind_word, network_word, ports_word, spec_of
from journal.codec import BadBody, UnknownMust, decode
from journal.entry import Actor, Header, Stored
from projections.failures import MAY_FAIL, failed

Data = dict[str, Any]

LINE_CHARS = 4_000
"""Of a log line so much is shown."""
_COLOURS = re.compile(r"\x1b\[[0-9;:]*m")


def ms(at_ns: int) -> int:
    """A moment as browsers count."""
    return at_ns // 1_000_000


def seemly(data: Any) -> Any:
    """The same with every text fit to be shown."""
    match data:
        case str():
            return printable(data)
        case dict():
            return {printable(str(key)): seemly(value) for key, value in data.items()}
        case list() | tuple():
            return [seemly(one) for one in data]
        case _:
            return data


def lines(text: str) -> list[str]:
    """A text of several lines."""
    return [printable(line) for line in text.splitlines()]


def workload(message: Any) -> Data:
    """A workload, and how it is."""
    status, spec = message.status, spec_of(message)
    phase = enum_word(status.DESCRIPTOR.fields_by_name["phase"], status.phase).lower()
    return {
        **seemly(
            {
                "name": message.name,
                "kind": kind_word(message),
                "phase": phase,
                "detail": status.phase_detail,
                "message": status.message,
                "image": image_word(message),
                "digest": message.image_digest,
                "ports": ports_word(message),
                "address": status.address,
                "network": network_word(message).lower(),
                "desired": desired_word(message),
                "dependsOn": list(message.depends_on),
                "labels": dict(sorted(message.labels.items())),
                "health": status.health,
                "lastEnd": status.last_end,
                "mounts": [f"{one.volume_name} at {one.mount_path}" for one in spec.mounts],
                "conditions": [
                    {"type": one.type, "met": one.met, "reason": one.reason, "message": one.message}
                    for one in status.conditions
                ],
            }
        ),
        "uid": message.uid,
        "run": status.run,
        "pid": status.pid,
        "restarts": status.restart_count,
        "startedAt": ms(status.started_at_unix_ns),
        "finishedAt": ms(status.finished_at_unix_ns),
        "retryAt": ms(status.next_retry_unix_ns),
        "declared": lines(yaml.safe_dump(plain(spec), sort_keys=False, allow_unicode=True)),
    }


def volume(message: Any, snapshots: Iterable[Any]) -> Data:
    """A volume with its snapshots."""
    return {
        **seemly(
            {
                "name": message.name,
                "phase": message.phase,
                "message": message.message,
                "mountedBy": list(message.mounted_by),
                "holder": message.holder,
            }
        ),
        "uid": message.uid,
        "size": message.size_bytes,
        "used": message.fs_used_bytes,
        "total": message.fs_total_bytes,
        "snapshots": [
            {"name": printable(one.name), "at": one.requested_at_unix * 1_000}
            for one in snapshots
            if one.volume == message.name
        ],
    }


def info(message: Any) -> Data:
    """The machine itself. What stands in the slots is what it says of them."""
    told = seemly(plain(message, zeros=True))
    kept = (
        "hostname", "shortId", "uptimeSeconds", "capsuleVersion", "activeSlot", "pendingSlot", "pendingDeadlineUnix",
        "lastVersion", "memoryTotalBytes", "memoryAvailableBytes", "cpuCores", "cpuModel", "permTotalBytes",
        "permUsedBytes", "mode", "condition", "conditionMessage", "journalSeq", "journalSizeBytes", "warnings",
        "microvmBackend", "microvmAccelerator", "microvmLacks", "localTimeUnix", "bridge", "subnet",
    )  # fmt: skip
    return {name: told[name] for name in kept if name in told}


def entry(message: Any) -> Data:
    """An entry in one line. `bad`: it tells of something that went wrong."""
    return {
        "seq": message.seq,
        "at": ms(message.at_unix_ns),
        "type": printable(message.type),
        "who": printable(who(message)),
        "person": bool(message.actor_role),
        "text": printable(message.summary),
        "objects": seemly(list(message.objects)),
        "bad": is_bad(message),
    }


def whole_entry(message: Any) -> Data:
    """An entry with all that it says."""
    body = json.dumps(json.loads(message.body_json or "{}"), indent=2, ensure_ascii=False)
    return {
        **entry(message),
        **seemly({"boot": message.boot, "release": message.release, "slot": message.slot, "hash": message.hash}),
        "bootSeconds": message.mono_ns / 1e9,
        "body": lines(body),
    }


def is_bad(message: Any) -> bool:
    """By the same rule as `history --failed`. What this release cannot read is not counted."""
    if message.type not in MAY_FAIL or message.excised:
        return False
    header = Header(
        message.seq, message.at_unix_ns, message.boot, message.mono_ns, message.release, message.slot,
        Actor("system"), message.cause, message.call, message.type, message.version, "may", b"", b"",
    )  # fmt: skip
    try:
        body = msgspec.msgpack.encode(json.loads(message.body_json or "{}"))
        event = decode(Stored(header, b"", b"", body))
    except (ValueError, UnknownMust, BadBody):
        return False
    return event is not None and failed(header, event)


def change(message: Any) -> Data:
    """One difference."""
    found: Data = seemly({name: getattr(message, name) for name in ("name", "op", "path", "old", "new")})
    return found


def why(message: Any) -> Data:
    """An explanation, and those of what it waits for."""
    return {
        **seemly(
            {
                "name": message.name,
                "kind": message.kind,
                "conclusion": message.conclusion,
                "advice": message.advice,
            }
        ),
        "retryAt": ms(message.retry_unix_ns),
        "chain": [
            {
                "seq": one.seq,
                "at": ms(one.at_unix_ns),
                "who": printable(one.who),
                "text": printable(one.text),
                "alike": one.alike,
            }
            for one in message.chain
        ],
        "others": [why(one) for one in message.others],
    }


def log_lines(chunk: Any) -> list[Data]:
    """What a chunk of a log has, line by line: without colours, and no longer than can be read."""
    text = chunk.data.decode(errors="replace").removesuffix("\n")
    return [
        {
            "at": ms(chunk.at_unix_ns),
            "err": chunk.stderr,
            "gap": bool(chunk.dropped_bytes),
            "text": printable(_cut(_COLOURS.sub("", line).rstrip("\r"))),
        }
        for line in text.split("\n")
    ]


def _cut(line: str) -> str:
    return line if len(line) <= LINE_CHARS else f"{line[:LINE_CHARS]}…"
