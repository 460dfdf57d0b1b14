"""The image cache in the state: what is used, kept, on its way out, and what the cache shows and the journal does not."""

from msgspec.structs import replace

from effects.goals import EnsureImage, StartRun, StopRun
from effects.planner import plan_workload
from journal.events import (
    BootStarted,
    EffectAbandoned,
    EffectDone,
    EffectFailed,
    EffectStarted,
    ImageFound,
    ImageLost,
    ImagePulled,
    ImagePushed,
    ImageRemovalRequested,
    ImageRemoved,
    PushedImage,
    RegistryConfigured,
)
from journal.specs import ImagePin, MicroVM
from projections.admission import Admitted
from projections.cache import SeenImage, observe_images
from projections.images import PARTIAL, leaving_now, record_named
from projections.intents import Apply, CollectImages, ConfigureRegistry, ForgetRegistry, Intent, RemoveImage, Stop
from projections.refusals import Refusal
from projections.secrets import SEAL_BROKEN
from projections.status import status_of
from tests.support.story import OTHER_PIN, PIN, Story, declared

FREE = ImagePin("docker.io/library/free:1", "sha256:" + "a" * 64, "sha256:" + "b" * 64)


def told(*pins: ImagePin) -> Story:
    story = Story(holds=())
    for pin in pins:
        story.tell(ImagePushed((PushedImage(pin, 100),)))
    return story


def leaving(story: Story, intent: Intent) -> tuple[tuple[str, ...], tuple[str, ...]]:
    verdict = story.call(intent)
    assert isinstance(verdict, Admitted), verdict
    (event,) = verdict.events
    assert isinstance(event, ImageRemovalRequested)
    return event.refs, event.digests


def test_an_image_that_a_workload_uses_is_not_removed_and_its_users_are_named() -> None:
    story = told(PIN)
    story.apply(declared("web", vm=MicroVM()), declared("db", desired="stopped"))
    refused = story.call(RemoveImage(PIN.ref))
    assert isinstance(refused, Refusal)
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "IMAGE_IN_USE")
    assert "db, web" in refused.message


def test_a_manifests_digest_means_the_index_it_is_kept_in_and_a_digest_that_is_kept_itself() -> None:
    machine = told(PIN, replace(FREE, platform_digest=PIN.index_digest)).machine
    asked = (PIN.platform_digest, PIN.index_digest, FREE.platform_digest)
    assert [record_named(machine, digest) for digest in asked] == [
        PIN.index_digest, PIN.index_digest, FREE.platform_digest,
    ]  # fmt: skip


def test_one_name_of_several_may_go_when_nobody_was_applied_with_it() -> None:
    other = replace(PIN, ref="docker.io/library/alias:1")
    story = told(PIN, other)
    story.apply(declared("web"))
    assert isinstance(story.call(RemoveImage(PIN.ref)), Refusal)
    assert isinstance(story.call(RemoveImage(PIN.index_digest)), Refusal)
    assert leaving(story, RemoveImage(other.ref)) == ((other.ref,), ())


def test_a_name_that_means_another_image_by_now_may_go() -> None:
    story = told(PIN)
    story.apply(declared("web"))
    story.tell(ImagePushed((PushedImage(OTHER_PIN, 100),)))
    assert leaving(story, RemoveImage(PIN.ref)) == ((PIN.ref,), (OTHER_PIN.index_digest,))


def test_the_last_name_takes_the_image_along_and_the_digest_takes_its_names() -> None:
    alias = replace(FREE, ref="docker.io/library/alias:1")
    story = told(FREE, alias)
    assert leaving(forked(story), RemoveImage(FREE.ref)) == ((FREE.ref,), ())
    assert leaving(story, RemoveImage(FREE.index_digest)) == ((alias.ref, FREE.ref), (FREE.index_digest,))
    missing = story.call(RemoveImage("docker.io/library/nothing:1"))
    assert isinstance(missing, Refusal) and missing.code == "NOT_FOUND"


def forked(story: Story) -> Story:
    copy = Story()
    copy.machine = story.machine.fork()
    return copy


def test_a_former_revision_keeps_its_image_when_the_name_goes() -> None:
    story = told(PIN)
    story.apply(declared("web"))
    story.apply(declared("web", pin=OTHER_PIN), pull=True)
    assert leaving(story, RemoveImage(PIN.ref)) == ((PIN.ref,), ())
    assert leaving(story, CollectImages(everything=True)) == ((), ())


def test_a_clean_up_keeps_the_last_five_revisions_of_each_workload() -> None:
    pins = [
        replace(PIN, index_digest=f"sha256:{number:064}", platform_digest=f"sha256:{number:064}") for number in range(7)
    ]
    story = told(*pins)
    for pin in pins:
        story.apply(declared("web", pin=pin), pull=True)
    assert leaving(story, CollectImages()) == ((), tuple(pin.index_digest for pin in pins[:2]))


def test_a_clean_up_takes_names_only_when_it_is_to_take_everything() -> None:
    story = told(FREE, PIN)
    story.apply(declared("web"))
    assert leaving(forked(story), CollectImages()) == ((), ())
    assert leaving(story, CollectImages(everything=True)) == ((FREE.ref,), (FREE.index_digest,))


def test_a_clean_up_also_takes_what_interrupted_pushes_and_pulls_left_a_removal_does_not() -> None:
    story = told(FREE)
    assert story.call(CollectImages()) == Admitted((ImageRemovalRequested(partial=True),))
    assert story.call(RemoveImage(FREE.ref)) == Admitted((ImageRemovalRequested((FREE.ref,), (FREE.index_digest,)),))


def test_what_is_on_its_way_out_is_not_given_to_a_workload() -> None:
    story = told(PIN)
    story.call(RemoveImage(PIN.ref))
    refused = story.call(Apply((declared("web"),)))
    assert isinstance(refused, Refusal) and (refused.code, refused.reason) == ("ABORTED", "IMAGE_LEAVING")
    story.tell(ImageRemoved((PIN.ref,), (PIN.index_digest,), freed_bytes=100))
    assert not story.machine.images and not story.machine.cached and not story.machine.leaving


def test_an_image_that_is_pushed_again_stays() -> None:
    story = told(PIN)
    story.call(RemoveImage(PIN.ref))
    story.tell(ImagePushed((PushedImage(PIN, 100),)))
    assert not story.machine.leaving and PIN.ref in story.machine.images


def seen(*pins: ImagePin) -> tuple[SeenImage, ...]:
    return tuple(SeenImage(ref, pin.index_digest, pin.platform_digest, 100) for pin in pins for ref in (pin.ref, ""))


def test_a_cache_that_is_as_the_journal_says_is_no_news() -> None:
    story = told(PIN, FREE)
    assert observe_images(story.machine, seen(PIN, FREE)) == ()


def test_what_the_journal_does_not_know_is_found_and_what_is_gone_is_lost() -> None:
    story = told(PIN)
    lost, found = observe_images(story.machine, seen(FREE))
    assert lost == ImageLost((PIN.ref,), (PIN.index_digest,))
    assert found == ImageFound((PushedImage(FREE, 100), PushedImage(replace(FREE, ref=""), 100)))
    story.tell(lost, found)
    assert observe_images(story.machine, seen(FREE)) == ()


def test_a_name_whose_image_a_start_has_missed_already_is_lost_too() -> None:
    story = told(PIN, FREE)
    story.tell(ImageLost(digests=(PIN.index_digest,)))
    assert observe_images(story.machine, seen(FREE)) == (ImageLost((PIN.ref,), ()),)


def test_a_name_that_moved_behind_the_journals_back_is_found() -> None:
    story = told(PIN)
    old = SeenImage("", PIN.index_digest, PIN.platform_digest, 100)
    (found,) = observe_images(story.machine, (old, *seen(OTHER_PIN)))
    assert isinstance(found, ImageFound) and found.images[0].pin == OTHER_PIN


# --- an image that is not here -----------------------------------------------------------------------------------


def due(story: Story, name: str = "web") -> object:
    return plan_workload(story.machine, story[name])


def fetch_fails(story: Story, reason: str = "REGISTRY_UNREACHABLE", permanent: bool = False) -> None:
    uid = story["web"].uid
    story.tell(EffectStarted("EnsureImage", "web", uid))
    story.tell(EffectFailed("EnsureImage", "web", uid, reason, "no", retry_delay_ms=500, permanent=permanent))


def test_a_workload_whose_image_is_not_here_has_it_fetched_before_it_starts() -> None:
    story = Story(holds=())
    story.apply(declared("web"))
    assert due(story) == EnsureImage("web", story["web"].uid, PIN)
    story.tell(EffectStarted("EnsureImage", "web", story["web"].uid))
    assert status_of(story["web"]).detail == "pulling"
    story.tell(ImagePulled((PushedImage(PIN),)), EffectDone("EnsureImage", "web", story["web"].uid))
    assert isinstance(due(story), StartRun) and status_of(story["web"]).detail == "pending"


def test_what_runs_goes_on_until_what_is_to_replace_it_can_begin() -> None:
    story = Story(holds=(PIN,))
    story.apply(declared("web"))
    story.run_starts("web")
    story.apply(declared("web", pin=OTHER_PIN), pull=True)
    assert isinstance(due(story), EnsureImage)
    fetch_fails(story)
    assert isinstance(due(story), EnsureImage) and story["web"].hold is not None
    assert status_of(story["web"]).phase == "pending"
    fetch_fails(story, "IMAGE_NOT_FOUND", permanent=True)
    assert due(story) is None and status_of(story["web"]).phase == "failed"
    story.tell(ImagePushed((PushedImage(OTHER_PIN),)))
    assert isinstance(due(story), StopRun)


def test_a_stop_ends_what_runs_although_its_successor_cannot_be_had() -> None:
    story = Story(holds=(PIN,))
    story.apply(declared("web"))
    story.run_starts("web")
    story.apply(declared("web", pin=OTHER_PIN), pull=True)
    fetch_fails(story, permanent=True)
    story.call(Stop("web"))
    assert isinstance(due(story), StopRun)


def test_a_start_that_finds_its_image_gone_is_followed_by_a_fetch() -> None:
    story = Story(holds=(PIN,))
    story.apply(declared("web"))
    story.tell(ImageLost(digests=(PIN.index_digest,)))
    assert isinstance(due(story), EnsureImage)


def test_a_push_or_a_login_ends_the_trouble_of_who_could_not_have_its_image() -> None:
    for help in (
        ImagePushed((PushedImage(PIN),)),
        ImageFound((PushedImage(replace(PIN, ref="")),)),
        RegistryConfigured("docker.io", "me", "sealed"),
    ):
        story = Story(holds=())
        story.apply(declared("web"))
        fetch_fails(story, "REGISTRY_DENIED", permanent=True)
        assert due(story) is None
        story.tell(RegistryConfigured("elsewhere", "me", "sealed"), ImagePushed((PushedImage(FREE),)))
        assert due(story) is None
        story.tell(help)
        assert due(story) is not None and story["web"].trouble is None


def test_a_name_that_was_asked_for_moves_with_the_fetch_and_not_after_a_newer_push() -> None:
    story = Story(holds=(PIN,))
    story.apply(replace(declared("web"), asked=True))
    assert due(story) == EnsureImage("web", story["web"].uid, PIN, moves=True)
    moved = Story(holds=(PIN,))
    moved.apply(replace(declared("web"), asked=True))
    moved.tell(ImagePushed((PushedImage(OTHER_PIN),)))
    assert isinstance(due(moved), StartRun) and moved.machine.images[PIN.ref].pin == OTHER_PIN
    story.tell(ImagePulled((PushedImage(PIN),)))
    assert isinstance(due(story), StartRun) and story.machine.images[PIN.ref].pulled


def test_a_fetch_that_was_given_up_is_no_trouble() -> None:
    story = Story(holds=())
    story.apply(declared("web"))
    story.tell(EffectStarted("EnsureImage", "web", story["web"].uid))
    story.call(Stop("web"))
    story.tell(EffectAbandoned("EnsureImage", "web", story["web"].uid))
    assert due(story) is None and status_of(story["web"]).detail == "stopped"


# --- registries --------------------------------------------------------------------------------------------------


def test_a_registry_is_configured_once_and_forgotten() -> None:
    story = Story()
    login = ConfigureRegistry("registry.lan:5000", "me", "sealed-1")
    assert isinstance(first := story.call(login), Admitted) and len(first.events) == 1
    assert story.call(login) == Admitted(())
    story.call(ConfigureRegistry("registry.lan:5000", "me", "sealed-2", ca="sealed-3"))
    known = story.machine.registries["registry.lan:5000"]
    assert (known.username, known.secret, known.ca) == ("me", "sealed-2", "sealed-3")
    story.call(ForgetRegistry("registry.lan:5000"))
    assert not story.machine.registries
    missing = story.call(ForgetRegistry("registry.lan:5000"))
    assert isinstance(missing, Refusal) and missing.code == "NOT_FOUND"


def test_a_login_that_is_said_again_is_news_to_who_could_not_open_what_was_kept_of_it() -> None:
    story, login = Story(holds=()), ConfigureRegistry("docker.io", "me", "sealed-1")
    story.call(login)
    story.apply(declared("web"))
    fetch_fails(story, "REGISTRY_DENIED", permanent=True)
    assert story.call(login) == Admitted(()) and due(story) is None
    fetch_fails(story, SEAL_BROKEN, permanent=True)
    assert story.call(login) == Admitted((RegistryConfigured("docker.io", "me", "sealed-1"),))
    assert isinstance(due(story), EnsureImage)
    assert story.call(login) == Admitted(())


def test_what_interrupted_pushes_left_is_on_its_way_out_until_it_is_gone() -> None:
    story = Story()
    story.tell(ImageRemovalRequested(partial=True))
    assert PARTIAL in story.machine.leaving
    story.tell(ImageRemoved(partial=True, freed_bytes=5))
    assert story.machine.leaving == {}


def test_nothing_leaves_while_a_system_is_on_trial_and_what_was_to_leave_before_waits() -> None:
    story = told(FREE, PIN)
    leaving(story, RemoveImage(PIN.ref))
    story.tell(BootStarted("slot_b", "slot_a", "0.0.2 bbb", tentative=True, uid=1))
    for intent in (RemoveImage(FREE.ref), CollectImages(), CollectImages(everything=True)):
        verdict = story.call(intent)
        assert isinstance(verdict, Refusal) and verdict.reason == "TENTATIVE"
        assert "the system before would still count on the image" in verdict.message
        assert "update confirm" in verdict.message and "update rollback" in verdict.message
    assert PIN.ref in story.machine.leaving and not leaving_now(story.machine)
    story.tell(BootStarted("slot_a", "slot_a", "0.0.1 aaa"))
    assert PIN.ref in leaving_now(story.machine)
    assert leaving(story, RemoveImage(FREE.ref)) == ((FREE.ref,), (FREE.index_digest,))
