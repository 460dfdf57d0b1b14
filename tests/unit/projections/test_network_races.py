"""What the network's effects find changed when they are done."""

from journal.events import NetworkDetached
from tests.support.story import Story, declared


def test_a_workload_that_was_put_on_the_bridge_again_meanwhile_keeps_its_address() -> None:
    story = Story()
    story.apply(declared("web", network="bridge"))
    address = story["web"].address
    story.apply(declared("web", network="none"))
    story.apply(declared("web", network="bridge"))
    story.tell(NetworkDetached("web", story["web"].uid))
    assert address and story["web"].address == address and story.next_goal("web") != "StartRun"
