"""LVM's reports and errors, as the thin pool's driver takes them."""

import asyncio

import pytest

from effects.errors import NoSpace, VolumeBusy, VolumeFailed
from effects.volumes.thin_group import ThinGroup, is_full, parsed, pool_fill
from projections.storage import Fill

REPORT = """  WARNING: something
  {
      "report": [
          {
              "lv": [
                  {"lv_name":"pool", "lv_size":"1000000", "lv_tags":"", "data_percent":"12.50", "metadata_percent":"40.00", "lv_active":"active"},
                  {"lv_name":"vol-data.7", "lv_size":"67108864", "lv_tags":"capsule.size=67000000,capsule.uid=7", "data_percent":"50.00", "metadata_percent":"", "lv_active":"active"},
                  {"lv_name":"snap-data.7.9", "lv_size":"67108864", "lv_tags":"capsule.making", "data_percent":"", "metadata_percent":"", "lv_active":""}
              ]
          }
      ]
  }
  WARNING: more
"""


def test_a_report_is_read_whatever_lvm_warns_of_around_it() -> None:
    found = parsed(REPORT)
    volume, snapshot = found["vol-data.7"], found["snap-data.7.9"]
    assert (volume.size_bytes, volume.used_bytes, volume.whole, volume.active) == (67_000_000, 33_554_432, True, True)
    assert (snapshot.size_bytes, snapshot.whole, snapshot.active) == (67_108_864, False, False)
    with pytest.raises(VolumeFailed):
        parsed("Volume group not found")


def test_a_pool_is_as_full_as_the_fuller_of_data_and_metadata() -> None:
    assert pool_fill(REPORT, "pool") == Fill(1_000_000, 400_000)
    assert is_full(Fill(100, 99)) and not is_full(Fill(100, 98))
    with pytest.raises(VolumeFailed):
        pool_fill(REPORT, "other")


@pytest.mark.parametrize(
    ("said", "condition"),
    [
        ("Logical volume capsule/vol-data.7 in use.", VolumeBusy),
        ("Volume group has insufficient free space (0 extents)", NoSpace),
        ("Free space in pool capsule/pool is over the threshold", NoSpace),
        ("Something else", VolumeFailed),
    ],
)
def test_what_lvm_says_is_told_by_its_condition(said: str, condition: type[Exception]) -> None:
    async def command(*argv: str) -> tuple[int, str]:
        return 5, said

    with pytest.raises(condition):
        asyncio.run(ThinGroup(command, "capsule", "pool").remove("vol-data.7"))


def test_what_a_crash_left_suspended_goes_on_and_nothing_else() -> None:
    asked: list[tuple[str, ...]] = []

    async def command(*argv: str) -> tuple[int, str]:
        asked.append(argv)
        return 0, "capsule-perm|Active\ncapsule-vol--data.7|Suspended\nother-lv|Suspended\n"

    asyncio.run(ThinGroup(command, "capsule", "pool").resume())
    assert asked[1:] == [("dmsetup", "resume", "capsule-vol--data.7")]
