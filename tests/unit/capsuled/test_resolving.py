"""What an image's name means when it is applied: the pin, the cache, the registry, and who of them is asked."""

import asyncio
import threading
from stat import S_IFDIR

import pytest
from msgspec.structs import replace

from capsule.v1 import workload_pb2 as pb
from capsuled.resolve import RESOLVES_AT_ONCE, Resolver
from effects.errors import DriverError, RegistryDenied, RegistryUnreachable
from effects.host_paths import HostPaths
from effects.images.registry_twin import Registries, TwinRegistry
from effects.images.twin import CacheWorld, TwinImages
from effects.images.twin_image import TwinImage
from journal.events import ImagePulled, ImagePushed, ImageRemovalRequested, PushedImage
from journal.specs import ImagePin
from projections.intents import DEFAULT_SUBNET, Apply, Declared
from projections.refusals import Refusal
from tests.support.story import Story
from tests.support.vault import OpenVault

REF = "registry.lan/web:1"
HERE, THERE = "sha256:" + "1" * 64, "sha256:" + "2" * 64


class Place:
    """A machine's cache and the world's registries; `asked` counts how often these were asked."""

    def __init__(self, here: str = "", there: str = "", fails: DriverError | None = None, silent: bool = False) -> None:
        self.silent = silent
        self.asked = self.at_once = self.most_at_once = 0
        self.fails = fails
        cache, registries = CacheWorld(), Registries()
        if here:
            cache.bring(REF, here)
        if there:
            registries.offer(REF, TwinImage((REF,), there, there))
        self.resolver = Resolver(TwinImages(cache), TwinRegistry(registries, self._step), OpenVault(), DEFAULT_SUBNET)

    async def _step(self, point: str) -> None:
        self.asked += point == "resolve"
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        if self.silent:
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        self.at_once -= 1
        if self.fails is not None:
            raise self.fails

    def resolve(self, story: Story, ref: str = REF, pull: bool = False) -> Declared | Refusal:
        found = self.resolve_all(story, {"web": ref}, pull)
        return found if isinstance(found, Refusal) else found[0]

    def resolve_all(self, story: Story, refs: dict[str, str], pull: bool = False) -> tuple[Declared, ...] | Refusal:
        """One call, of workloads with these images."""
        messages = [pb.Workload(name=name, container=pb.ContainerSpec(image=ref)) for name, ref in refs.items()]
        found = asyncio.run(self.resolver.apply(story.machine, messages, role="admin", expect_seq=None, pull=pull))
        return found if isinstance(found, Refusal) else found.intent.workloads


def digest(found: Declared | Refusal) -> str:
    assert isinstance(found, Declared) and found.resolved is not None, found
    return found.resolved.index_digest


def brought(kind: type[ImagePushed] | type[ImagePulled]) -> Story:
    story = Story(holds=())
    story.tell(kind((PushedImage(ImagePin(REF, HERE, HERE)),)))
    return story


def test_what_is_here_is_taken_and_nobody_is_asked() -> None:
    place = Place(here=HERE, there=THERE)
    found = place.resolve(brought(ImagePulled))
    assert digest(found) == HERE and place.asked == 0
    assert isinstance(found, Declared) and (found.cached, found.asked) == (True, False)


def test_what_is_not_here_is_asked_of_its_registry() -> None:
    place = Place(there=THERE)
    found = place.resolve(Story(holds=()))
    assert digest(found) == THERE and isinstance(found, Declared)
    assert (found.cached, found.asked, place.asked) == (False, True, 1)


def test_a_pin_holds_while_the_name_stays_and_a_pull_takes_it_off() -> None:
    place = Place(here=HERE, there=THERE)
    story = brought(ImagePulled)
    found = place.resolve(story)
    assert isinstance(found, Declared)
    story.call(Apply((found,)))
    later = Place(there=THERE)
    assert digest(later.resolve(story)) == HERE and later.asked == 0
    assert digest(later.resolve(story, pull=True)) == THERE and later.asked == 1


def test_a_pin_under_a_host_in_capitals_holds_as_in_every_release() -> None:
    story = brought(ImagePulled)
    found = Place(here=HERE).resolve(story)
    assert isinstance(found, Declared) and found.resolved is not None
    ref = "GHCR.IO/x/y:1"
    pinned = replace(found, image_ref=ref, resolved=replace(found.resolved, ref=ref))
    story.call(Apply((pinned,)))
    later = Place()
    assert digest(later.resolve(story, ref)) == HERE and later.asked == 0


def test_a_pull_asks_for_what_was_pulled_and_never_for_what_was_pushed() -> None:
    place = Place(here=HERE, there=THERE)
    assert digest(place.resolve(brought(ImagePulled), pull=True)) == THERE
    assert digest(place.resolve(brought(ImagePushed), pull=True)) == HERE


def test_a_digest_needs_nobody_to_say_what_it_means() -> None:
    place = Place(here=HERE, there=THERE)
    found = place.resolve(brought(ImagePulled), f"registry.lan/web@{HERE}", pull=True)
    assert digest(found) == HERE and place.asked == 0
    assert isinstance(found, Declared) and found.resolved is not None
    assert found.resolved.ref == f"registry.lan/web@{HERE}"


def test_what_is_on_its_way_out_is_not_here_any_more() -> None:
    story = brought(ImagePulled)
    story.tell(ImageRemovalRequested((REF,), (HERE,)))
    place = Place(here=HERE, there=THERE)
    assert digest(place.resolve(story)) == THERE


@pytest.mark.parametrize(
    ("fails", "code", "reason"),
    [
        (None, "FAILED_PRECONDITION", "IMAGE_NOT_FOUND"),
        (RegistryUnreachable("it is down"), "UNAVAILABLE", "REGISTRY_UNREACHABLE"),
        (RegistryDenied("not you"), "FAILED_PRECONDITION", "REGISTRY_DENIED"),
    ],
)
def test_what_cannot_be_had_is_refused_by_its_condition(
    fails: DriverError | None, code: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capsuled.resolve.RESOLVE_TRIES", 1)
    found = Place(fails=fails).resolve(Story(holds=()))
    assert isinstance(found, Declared) and found.resolved is None
    refused = Story().call(Apply((found,)))
    assert isinstance(refused, Refusal) and (refused.code, refused.reason) == (code, reason)
    assert refused.fields == ("container.image",) and "image push FILE" in refused.message
    here = Place(here=HERE, fails=fails).resolve(brought(ImagePulled), pull=True)
    assert isinstance(here, Declared) and here.unresolved is not None
    assert "means now cannot be asked for" in here.unresolved.message


@pytest.mark.parametrize("pull", [False, True])
def test_a_call_asks_for_each_name_once_and_all_of_it_means_the_same(pull: bool) -> None:
    place = Place(there=THERE)
    found = place.resolve_all(Story(holds=()), {f"web-{number}": REF for number in range(100)}, pull)
    assert isinstance(found, tuple) and {digest(one) for one in found} == {THERE}
    assert len(found) == 100 and place.asked == 1


def test_many_names_are_asked_for_a_few_at_a_time() -> None:
    place = Place(there=THERE)
    refs = {f"web-{number}": f"registry.lan/web-{number}:1" for number in range(40)}
    found = place.resolve_all(Story(holds=()), refs)
    assert isinstance(found, tuple) and all(one.resolved is None for one in found)
    assert place.asked == 40 and 1 < place.most_at_once <= RESOLVES_AT_ONCE


def test_who_is_pinned_stays_so_beside_who_asks() -> None:
    here = Place(here=HERE)
    story = brought(ImagePulled)
    pinned = here.resolve(story)
    assert isinstance(pinned, Declared)
    story.call(Apply((pinned,)))
    later = Place(there=THERE)
    found = later.resolve_all(story, {"web": REF, "other": REF, "third": REF})
    assert isinstance(found, tuple) and [digest(one) for one in found] == [HERE, THERE, THERE] and later.asked == 1


def test_names_that_wait_for_their_turn_wait_no_longer_than_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("capsuled.resolve.RESOLVE_S", 0.05)
    place = Place(there=THERE, silent=True)
    refs = {f"web-{number}": f"registry.lan/web-{number}:1" for number in range(3 * RESOLVES_AT_ONCE)}
    found = place.resolve_all(Story(holds=()), refs)
    assert isinstance(found, tuple) and place.asked == RESOLVES_AT_ONCE
    assert all(one.unresolved is not None and "gave no answer" in one.unresolved.message for one in found)


def test_a_kernel_of_its_own_has_no_image_to_ask_for_and_must_be_there() -> None:
    place = Place()
    own = pb.MicroVMSpec(kernel_path="/nowhere/vmlinuz", rootfs_path="/dev/null")
    message = pb.Workload(name="vm", micro_vm=own)
    for pull in (False, True):
        found = asyncio.run(place.resolver.apply(Story().machine, [message], role="admin", expect_seq=None, pull=pull))
        assert not isinstance(found, Refusal)
        (one,) = found.intent.workloads
        assert (one.resolved, place.asked) == (ImagePin("", "", ""), 0)
        assert one.absent_paths == (("/nowhere/vmlinuz", "container.kernelPath"),)


def test_a_path_that_gives_no_answer_is_refused_and_others_have_their_turn_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("effects.host_paths.PATIENCE_S", 0.01)
    back, looks = threading.Event(), list[str]()

    def mode_of(path: str) -> int:
        looks.append(path)
        assert path == "/srv" or back.wait(60), "the event loop waits for it"
        return S_IFDIR

    async def inside() -> None:
        cache = CacheWorld()
        cache.bring(REF, HERE)
        resolver = Resolver(
            TwinImages(cache),
            TwinRegistry(Registries(), _no_step),
            OpenVault(),
            DEFAULT_SUBNET,
            paths=HostPaths(mode_of),
        )
        container = pb.ContainerSpec(image=REF, host_bind_paths=["/srv"], host_binds=[pb.HostBind(source="/mnt/away")])
        message = pb.Workload(name="web", container=container)
        story, beats = Story(holds=()), 0
        for _ in range(2):
            asked = asyncio.ensure_future(
                resolver.apply(story.machine, [message], role="admin", expect_seq=None, pull=False)
            )
            while not asked.done():
                beats += 1
                await asyncio.sleep(0)
            found = asked.result()
            assert not isinstance(found, Refusal)
            (one,) = found.intent.workloads
            assert (one.absent_paths, one.silent_paths) == ((), (("/mnt/away", "container.hostBinds[0].source"),))
            refused = story.call(found.intent)
            assert isinstance(refused, Refusal) and refused.reason == "HOST_PATH_MISSING"
            assert "/mnt/away does not answer" in refused.message
        assert beats and looks.count("/mnt/away") == 1
        back.set()

    asyncio.run(inside())


async def _no_step(point: str) -> None:
    pass
