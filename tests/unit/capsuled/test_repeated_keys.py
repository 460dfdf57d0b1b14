"""Keys that were added and removed again: whoever added one hears of that, also when it is gone by then."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from capsule.v1 import identity_pb2
from capsule.v1 import update_pb2 as pb
from capsuled.caller import Caller
from capsuled.rpc import Refused
from capsuled.services.identity import IdentityService
from capsuled.services.updates import UpdateService
from capsuled.session import CURRENT, Session
from capsuled.tokens import kid_of
from journal.entry import LOCAL, SYSTEM
from projections.intents import AddKey, RemoveKey
from projections.update_intents import RemoveUpdateKey
from tests.support.storehouse import settled
from tests.unit.capsuled.test_call_ids import House, living

KEY = bytes(range(32))
KID = kid_of(KEY)


def adding(house: House) -> asyncio.Task[pb.UpdateKey]:
    updates: Any = SimpleNamespace(engine=house.engine)
    service = UpdateService(house.engine, house.log, house.clock, updates)

    async def called() -> pb.UpdateKey:
        CURRENT.set(Session(LOCAL, call_id="add-1"))
        return await service.KeyAdd(pb.UpdateKeyAddRequest(public_key=KEY, name="forge"), None)

    return asyncio.create_task(called())


async def removed(house: House, kid: str) -> None:
    await house.engine.call(RemoveUpdateKey(kid), Caller(LOCAL, "UpdateService.KeyRemove"))


@living
async def test_an_update_key_is_told_of_again_when_it_is_gone(house: House) -> None:
    first = await adding(house)
    await removed(house, first.kid)
    assert await adding(house) == first and not house.engine.machine.update_keys


@living
async def test_an_update_key_that_goes_before_it_is_durable_is_told_of_as_it_was(house: House) -> None:
    house.log.gate.clear()
    call = adding(house)
    await settled()
    (kid,) = house.engine.machine.update_keys
    removing = asyncio.create_task(removed(house, kid))
    await settled()
    assert not house.engine.machine.update_keys
    house.log.gate.set()
    await removing
    assert (await call).kid == kid


@living
async def test_a_key_that_goes_while_the_machine_is_adopted_with_it_is_a_refusal_with_a_reason(house: House) -> None:
    roster: Any = SimpleNamespace(operators=lambda: house.engine.machine.operators)
    nothing: Any = None
    service = IdentityService(nothing, house.engine, nothing, roster, nothing, house.clock)
    request = identity_pb2.AdoptRequest(pubkey=KEY, name="ann")
    for number, name in enumerate(("ann", "bob")):
        key = AddKey(KID if not number else name, KEY.hex() if not number else "b" * 64, name, "admin")
        await house.engine.call(key, Caller(SYSTEM, "KeyAdd"))
    house.log.gate.clear()

    async def adopted() -> identity_pb2.AdoptResponse:
        CURRENT.set(Session(LOCAL))
        return await service.Adopt(request, None)

    call = asyncio.create_task(adopted())
    await settled()
    removing = asyncio.create_task(house.engine.call(RemoveKey(KID), Caller(SYSTEM, "KeyRemove")))
    await settled()
    assert KID not in house.engine.machine.operators
    house.log.gate.set()
    await removing
    with pytest.raises(Refused) as caught:
        await call
    assert (caught.value.refusal.code, caught.value.refusal.reason) == ("ABORTED", "KEY_REMOVED")
