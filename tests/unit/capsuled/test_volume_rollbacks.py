"""What the plan of a volume's rollback says before anybody agrees to it."""

import re
from typing import Any

from capsule.v1 import rollback_pb2 as pb
from journal.events import SnapshotRequested, SnapshotTaken
from tests.support.storehouse import MIB, Storehouse, run


async def planned(store: Storehouse, snapshot: str) -> Any:
    request = pb.RollbackRequest(name="volume/data", dry_run=True, snapshot=snapshot)
    return (await store.roll_back(request, "")).items[0].reason


def test_it_says_which_snapshot_comes_back_and_whether_a_restore_took_it() -> None:
    async def test(store: Storehouse) -> None:
        await store.made()
        name = (await store.taken()).name
        store.happens(SnapshotRequested("data", store.data.uid, "before-restore-1", safety=True))
        store.happens(SnapshotTaken("data", store.data.uid, store.data.snapshots[-1].uid, 16 * MIB, "copy"))
        at = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
        kept = r"; what it has is kept as snapshot before-restore-\d{8}-\d{6}"
        assert re.fullmatch(f"as in snapshot {name}, taken {at}{kept}", await planned(store, name))
        found = await planned(store, "before-restore-1")
        assert re.fullmatch(f"as in snapshot before-restore-1, taken {at} as a restore's safety snapshot{kept}", found)

    run(test)
