"""Requests by chance: messages of the right type from a small world of names, their mutations, and plain noise."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from random import Random
from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from tests.support.house import IMAGE

NAMES = ("web", "db", "data", "cache", IMAGE, "demo:1", "registry.invalid")
WORDS = (
    *NAMES, "", "/", "/data", "../../etc", "sh", "tcp", "udp", "sha256:" + "1" * 64, "sealed:" + "0" * 64, "always",
    "on-failure:3", "1.5", "NET_ADMIN", "nofile", "192.0.2.1", "a" * 70, "x" * 5_000, "\x00", "ü\u202e\n", "%s%n", "-1",
    "99999999999999999999", "2026-01-01T00:00:00Z",
)  # fmt: skip
NUMBERS = (
    0,
    1,
    2,
    3,
    7,
    100,
    255,
    8080,
    65_535,
    65_536,
    1 << 20,
    (1 << 31) - 1,
    -1,
    -(1 << 31),
    (1 << 63) - 1,
    -(1 << 63),
)
KEYS = tuple(bytes([number]) * 32 for number in range(1, 5))
"""Public keys that may be added: few, so that the roster stays small."""

SLOW = ("Replay", "Verify")
SLOW_SHARE = 0.1
DEPTH = 5
_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, (1 << 32) - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, (1 << 64) - 1),
}
_VARINT_NUMBER = 50_000


@dataclass(frozen=True)
class Case:
    """One call: `messages` are what its client sends (one, unless the client streams)."""

    method: MethodDescriptor
    messages: tuple[bytes, ...]

    def __str__(self) -> str:
        return f"{path_of(self.method)} {[message.hex() for message in self.messages]}"


def described(method: str) -> MethodDescriptor:
    """By its name in the table of roles: `WorkloadService/Get`, or with its package."""
    service, _, name = method.rpartition("/")
    full = service if "." in service else f"capsule.v1.{service}"
    found: MethodDescriptor = descriptor_pool.Default().FindServiceByName(full).methods_by_name[name]
    return found


def path_of(method: MethodDescriptor) -> str:
    """As it is called by."""
    service: Any = method.containing_service
    return f"/{service.full_name}/{method.name}"


class Chance:
    """Cases by a seed; the same seed gives the same ones."""

    def __init__(self, seed: int, methods: list[str]) -> None:
        self._random = Random(seed)
        self._methods = [described(method) for method in methods]
        self._seen: dict[str, list[bytes]] = {}

    def cases(self, count: int) -> Iterator[Case]:
        """Every method in turn; what starts a process, in every so manieth round only."""
        turns = cycle(self._methods)
        for _ in range(count):
            method = next(turns)
            while method.name in SLOW and self._random.random() > SLOW_SHARE:
                method = next(turns)
            messages = self._random.choice((0, 1, 1, 2, 4)) if method.client_streaming else 1
            yield Case(method, tuple(self._request(method) for _ in range(messages)))

    def _request(self, method: MethodDescriptor) -> bytes:
        whole: bytes = self.message(method.input_type).SerializeToString()
        seen = self._seen.setdefault(method.full_name, [b""])
        if len(seen) < 64:
            seen.append(whole)
        kind = self._random.random()
        if kind < 0.35:
            return whole
        if kind < 0.45:
            return self.noise()
        if kind < 0.60:
            return whole + self.unknown()
        if kind < 0.65:
            return self._nested()
        return self.mutated(whole, seen)

    # --- messages that are of their type --------------------------------------------------------------------------

    def message(self, descriptor: Any, depth: int = 0) -> Any:
        """Fields by chance, values that the machine may know."""
        made = GetMessageClass(descriptor)()
        for one in descriptor.fields:
            if self._random.random() < (0.6 if depth < 2 else 0.3):
                self._fill(made, one, depth)
        return made

    def _fill(self, made: Any, one: FieldDescriptor, depth: int) -> None:
        kind = one.message_type
        if kind is not None and depth >= DEPTH:
            return
        if kind is not None and kind.GetOptions().map_entry:
            value = kind.fields_by_name["value"]
            for _ in range(self._random.randrange(3)):
                entry = getattr(made, one.name)
                key = self._value(kind.fields_by_name["key"])
                if value.message_type is not None:
                    entry[key].CopyFrom(self.message(value.message_type, depth + 1))
                else:
                    entry[key] = self._value(value)
        elif one.is_repeated:
            values = [self._of(one, depth) for _ in range(self._random.randrange(4))]
            getattr(made, one.name).extend(values)
        elif kind is not None:
            getattr(made, one.name).CopyFrom(self.message(kind, depth + 1))
        else:
            setattr(made, one.name, self._value(one))

    def _of(self, one: FieldDescriptor, depth: int) -> Any:
        return self._value(one) if one.message_type is None else self.message(one.message_type, depth + 1)

    def _value(self, one: FieldDescriptor) -> Any:
        random = self._random
        if one.cpp_type in _INTEGERS:
            low, high = _INTEGERS[one.cpp_type]
            number = random.choice(NUMBERS) if random.random() < 0.8 else random.randint(low, high)
            return min(max(number, low), high)
        match one.cpp_type:
            case FieldDescriptor.CPPTYPE_BOOL:
                return random.random() < 0.5
            case FieldDescriptor.CPPTYPE_ENUM:
                assert one.enum_type is not None
                numbers = [value.number for value in one.enum_type.values]
                return random.choice(numbers) if random.random() < 0.9 else random.randrange(1 << 20)
            case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
                return random.choice((0.0, 1.5, -1.0, float("inf"), float("nan"), 1e30))
            case _ if one.type == FieldDescriptor.TYPE_BYTES:
                return random.choice((b"", random.choice(KEYS), random.randbytes(random.randrange(200))))
            case _:
                named = one.name in ("name", "image", "host") and random.random() < 0.8
                return random.choice(NAMES if named else WORDS)

    # --- and those that are not -----------------------------------------------------------------------------------

    def noise(self) -> bytes:
        """Any bytes at all."""
        return self._random.randbytes(int(self._random.expovariate(1 / 60)))

    def unknown(self) -> bytes:
        """Fields that no release has, of every wire type."""
        random = self._random
        number = _VARINT_NUMBER + random.randrange(1_000)
        payload = random.randbytes(random.randrange(30))
        return random.choice(
            (
                varint(number << 3) + varint(random.getrandbits(64)),
                varint(number << 3 | 1) + random.randbytes(8),
                varint(number << 3 | 2) + varint(len(payload)) + payload,
                varint(number << 3 | 3) + varint(number << 3 | 4),
                varint(number << 3 | 5) + random.randbytes(4),
            )
        )

    def _nested(self) -> bytes:
        """Field 1 in field 1 in field 1, or groups without end."""
        random = self._random
        if random.random() < 0.3:
            return b"\x0b" * random.randrange(1, 20_000)
        found = b""
        for _ in range(random.randrange(1, 300)):
            found = varint(random.randrange(1, 16) << 3 | 2) + varint(len(found)) + found
        return found

    def mutated(self, whole: bytes, others: list[bytes]) -> bytes:
        """A few of what happens to bytes on a bad day."""
        found = whole
        for _ in range(self._random.randrange(1, 5)):
            found = self._changed(found, others)
        return found

    def _changed(self, found: bytes, others: list[bytes]) -> bytes:
        random = self._random
        at = random.randrange(len(found) + 1)
        before, behind = found[:at], found[at:]
        match random.randrange(6):
            case 0:  # a bit
                return before + bytes(byte ^ 1 << random.randrange(8) for byte in behind[:1]) + behind[1:]
            case 1:  # the end
                return before
            case 2:  # something twice
                return before + behind[: random.randrange(40)] + behind
            case 3:  # bytes that do not belong there
                return before + random.randbytes(random.randrange(8)) + behind
            case 4:  # another's end
                return before + random.choice(others)[random.randrange(20) :]
            case _:  # another number, perhaps a length
                return before + varint(random.getrandbits(random.randrange(1, 70))) + behind[1:]


def varint(number: int) -> bytes:
    """As protobuf writes numbers; also longer ones than it reads."""
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def fresh_seed() -> int:
    """For a run that is told none."""
    return int.from_bytes(os.urandom(4))
