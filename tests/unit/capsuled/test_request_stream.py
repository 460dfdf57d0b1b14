"""What a client's messages are waited for: for ever where nobody else waits, and not in silence where others do."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from capsuled.request_stream import RequestStream
from effects.errors import SenderQuiet

QUIET_S = 0.1


async def said(*pauses_s: float) -> AsyncIterator[bytes]:
    for pause_s in pauses_s:
        await asyncio.sleep(pause_s)
        yield b"x"
    await asyncio.Event().wait()


async def heard(stream: RequestStream) -> int:
    """How many messages came before the stream was given up."""
    count = 0
    try:
        async with asyncio.timeout(30):
            async for _ in stream:
                count += 1
    except SenderQuiet as quiet:
        assert "nothing more came for " in quiet.message
    finally:
        await stream.close()
    return count


def test_who_falls_silent_in_the_middle_is_given_up_and_who_is_slow_to_begin_is_not() -> None:
    assert asyncio.run(heard(RequestStream(said(0, 3 * QUIET_S), quiet_s=QUIET_S))) == 2


def test_who_says_a_little_now_and_then_is_heard_for_longer_than_he_may_be_silent() -> None:
    slowly = (QUIET_S,) * 20
    assert asyncio.run(heard(RequestStream(said(0, *slowly), quiet_s=10 * QUIET_S))) == 21


def test_where_nobody_else_waits_silence_has_no_end() -> None:
    async def main() -> None:
        stream = RequestStream(said(0, 0))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3 * QUIET_S):
                async for _ in stream:
                    pass
        await stream.close()

    asyncio.run(main())
