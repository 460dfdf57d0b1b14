"""Places for callers whom nobody knows."""

import asyncio

from capsuled.strangers import Strangers, host_of


async def silent(strangers: Strangers, peer: str) -> str:
    try:
        async with strangers.waiting(peer, 60):
            await asyncio.Event().wait()
    except TimeoutError:
        return "ended"
    return "never"


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_the_one_who_is_silent_for_longest_makes_room_first_of_ones_own_address() -> None:
    async def tried() -> None:
        strangers = Strangers(most=3, each=2)
        ended: list[str] = []
        tasks: list[asyncio.Task[str]] = []
        for name in ("192.0.2.1:1", "192.0.2.2:1", "192.0.2.1:2", "192.0.2.1:3", "192.0.2.3:1", "192.0.2.4:1"):
            task = asyncio.create_task(silent(strangers, name))
            task.add_done_callback(lambda _, name=name: ended.append(name))  # type: ignore[misc]
            tasks.append(task)
            await settled()
        assert ended == ["192.0.2.1:1", "192.0.2.2:1", "192.0.2.1:2"]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with strangers.waiting("192.0.2.1:9", 60), strangers.waiting("192.0.2.1:10", 60):
            pass  # who has gone holds no place

    asyncio.run(tried())


def test_of_an_ipv6_address_the_network_counts() -> None:
    assert host_of("[2001:db8::7]:50123") == host_of("[2001:db8::8]:50124") == "2001:db8::/64"
    assert host_of("192.0.2.7:50123") == host_of("[::ffff:192.0.2.7]:50123") == "192.0.2.7"
    assert host_of("unix") == "unix"
