"""Bytes by chance on a guest's channel, at either end: what a hostile guest can send, and what a cut leaves.

python -m tests.fuzz.channel [STREAMS] [SEED]
"""

import sys
import tracemalloc
from random import Random

from channel.frames import CREDIT, DATA, FILLING, OPEN, READY, RESET, packed
from channel.protocol import CONNECTIONS_MAX, CREDIT_BYTES, Broken, Data, GuestChannel, HostChannel, Opened, Ready
from tests.fuzz.cases import fresh_seed

NONCE = b"0123456789abcdef"
HELD_MAX = len(FILLING) + 1
SENT_MAX = (2 * CONNECTIONS_MAX + 1) * (CREDIT_BYTES // 4)
"""What an end may have to say of its own, unread, however it is talked to: far more than it ever is."""


def run(streams: int, seed: int) -> tuple[int, int]:
    """How many streams were refused, and how many frames were understood. Raises AssertionError for what may not be."""
    random = Random(seed)
    refused = understood = 0
    for _ in range(streams):
        host = random.random() < 0.6
        outcome = _one(_host() if host else GuestChannel(), host, random)
        refused += outcome[0]
        understood += outcome[1]
    return refused, understood


def _host() -> HostChannel:
    channel = HostChannel(NONCE)
    channel.outgoing.clear()
    return channel


def _one(channel: HostChannel | GuestChannel, host: bool, random: Random) -> tuple[bool, int]:
    stream = _stream(host, random)
    understood = 0
    arrived: dict[int, int] = {}
    position = 0
    while position < len(stream):
        piece = stream[position : position + random.choice((1, 7, 300, 70_000))]
        position += len(piece)
        try:
            events = channel.receive(piece)
        except Broken:
            return True, understood
        understood += len(events)
        for event in events:
            if isinstance(event, Ready):
                arrived.clear()
                if isinstance(channel, HostChannel):
                    for _ in range(3):
                        channel.open()
            elif isinstance(event, Opened):
                arrived[event.connection] = 0
            elif isinstance(event, Data):
                arrived[event.connection] = arrived.get(event.connection, 0) + len(event.content)
                assert arrived[event.connection] <= CREDIT_BYTES, "more than its credit"
        assert len(channel.connections) <= CONNECTIONS_MAX
        assert len(channel._frames._held) <= HELD_MAX and len(channel.outgoing) <= SENT_MAX
    return False, understood


def _stream(host: bool, random: Random) -> bytes:
    """A beginning that is right, mostly; then frames that are, nearly are, or never were."""
    made = bytearray(random.randbytes(random.randrange(40)) if host and random.random() < 0.5 else b"")
    if random.random() < 0.95:
        made += packed(READY, 0, NONCE) if host else FILLING + packed(RESET, 0, NONCE)
        made += b"" if host else b"".join(packed(OPEN, number) for number in (1, 2, 3))
    for _ in range(random.randrange(60)):
        made += _frame(random)
    return bytes(made)


def _frame(random: Random) -> bytes:
    chance = random.random()
    if chance < 0.005:
        return random.randbytes(random.randrange(1, 200))
    if chance < 0.01:
        return bytes(random.randrange(1, 100))
    kind = random.randrange(9) if chance < 0.05 else DATA
    length = {RESET: 16, READY: 16, DATA: random.choice((1, 50, 50, 9_000)), CREDIT: 4}.get(kind, 0)
    if random.random() < 0.005:
        length = random.randrange(70_000)
    whole = bytearray(packed(kind, random.randrange(1, 4), random.randbytes(length)))
    if random.random() < 0.01:
        whole[random.randrange(len(whole))] ^= 1 << random.randrange(8)
    if random.random() < 0.005:
        del whole[random.randrange(len(whole)) :]
        whole += FILLING if random.random() < 0.5 else b""
    return bytes(whole)


def main() -> None:
    """Run, and say what was seen."""
    streams = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else fresh_seed()
    print(f"seed {seed}", flush=True)
    tracemalloc.start()
    refused, understood = run(streams, seed)
    _, most = tracemalloc.get_traced_memory()
    print(f"{streams:,} streams, {refused:,} refused, {understood:,} frames understood, {most:,} bytes held at most")


if __name__ == "__main__":
    main()
