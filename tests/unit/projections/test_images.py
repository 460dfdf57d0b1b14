"""The image cache in the state: what is used, kept, on its way out, and what the cache shows and the journal does not."""

from msgspec.structs import replace

from journal.events import ImageFound, ImageLost, ImagePushed, ImageRemovalRequested, ImageRemoved, PushedImage
from journal.specs import ImagePin
from projections.admission import Admitted
from projections.cache import SeenImage, observe_images
from projections.intents import Apply, CollectImages, Intent, RemoveImage
from projections.refusals import Refusal
from tests.support.story import OTHER_PIN, PIN, Story, declared

FREE = ImagePin("docker.io/library/free:1", "sha256:" + "a" * 64, "sha256:" + "b" * 64)


def told(*pins: ImagePin) -> Story:
    story = Story()
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
    story.apply(declared("web"), declared("db", desired="stopped"))
    refused = story.call(RemoveImage(PIN.ref))
    assert isinstance(refused, Refusal)
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "IMAGE_IN_USE")
    assert "db, web" in refused.message


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


def test_a_name_that_moved_behind_the_journals_back_is_found() -> None:
    story = told(PIN)
    old = SeenImage("", PIN.index_digest, PIN.platform_digest, 100)
    (found,) = observe_images(story.machine, (old, *seen(OTHER_PIN)))
    assert isinstance(found, ImageFound) and found.images[0].pin == OTHER_PIN
