"""How the name server's questions share what may be under way: those beyond a share wait in turn, for so long."""

from capsuled.name_shares import WAITING, WAITING_BYTES, WAITING_EACH, WAITING_S, Line, Share

GREEDY, MODEST = ("172.20.254.2", 5_000), ("172.20.254.3", 5_000)


def full(all_together: int = 4, each: int = 2) -> Line:
    """A line whose greedy peer has its share under way."""
    line = Line(all_together, each)
    assert all(line.comes(b"first", GREEDY, 0.0) for _ in range(each))
    return line


def test_a_share_is_of_each_and_of_all_and_comes_back() -> None:
    share = Share(3, 2)
    assert [share.take("a"), share.take("a"), share.take("a"), share.take("b"), share.take("c")] == [
        True, True, False, True, False,
    ]  # fmt: skip
    share.leave("a")
    assert share.take("c") and not share.take("a"), "all three are under way again"
    share.leave("c")
    assert [share.take("b"), share.take("b"), share.take("a")] == [True, False, False], "one of each was left"


def test_a_question_beyond_the_share_goes_on_when_one_of_its_peers_has_ended() -> None:
    line = full()
    assert not line.comes(b"second", GREEDY, 1.0) and not line.comes(b"third", GREEDY, 1.0)
    assert line.comes(b"other", MODEST, 1.0), "the others have their own"
    assert line.ended(MODEST[0], 1.1) is None, "that share is not the greedy one's"
    following = [line.ended(GREEDY[0], 1.2) for _ in range(3)]
    assert [one and one.question for one in following] == [b"second", b"third", None]
    assert following[0] is not None and following[0].peer == GREEDY


def test_peers_that_wait_take_turns() -> None:
    line = full(all_together=2, each=2)
    for question in (b"1", b"2"):
        line.comes(question, GREEDY, 0.0)
    for question in (b"3", b"4"):
        line.comes(question, MODEST, 0.0)
    order = []
    ends = GREEDY[0]
    for _ in range(4):
        following = line.ended(ends, 0.1)
        assert following is not None
        order.append(following.question)
        ends = following.peer[0]
    assert order == [b"1", b"3", b"2", b"4"]


def test_what_stood_too_long_is_dropped() -> None:
    line = full()
    line.comes(b"old", GREEDY, 0.0)
    line.comes(b"young", GREEDY, 1.0)
    following = line.ended(GREEDY[0], WAITING_S)
    assert following is not None and following.question == b"young"
    assert line.ended(GREEDY[0], WAITING_S) is None and line.comes(b"next", GREEDY, WAITING_S)


def test_the_line_has_a_bound_of_each_and_of_all_and_of_a_question() -> None:
    line = full()
    line.comes(bytes(WAITING_BYTES + 1), GREEDY, 0.0)
    for number in range(WAITING_EACH + 5):
        line.comes(b"%d" % number, GREEDY, 0.0)
    got = []
    while (following := line.ended(GREEDY[0], 0.1)) is not None:
        got.append(following.question)
    assert got == [b"%d" % number for number in range(WAITING_EACH)]
    line = full(all_together=1, each=1)
    for number in range(2 * WAITING):
        line.comes(b"", (f"10.0.{number >> 8}.{number & 255}", 53), 0.0)
    ends, waited = GREEDY[0], 0
    while (following := line.ended(ends, 0.1)) is not None:
        ends, waited = following.peer[0], waited + 1
    assert waited == WAITING


def test_a_line_that_is_cleared_has_nobody_waiting() -> None:
    line = full()
    line.comes(b"second", GREEDY, 0.0)
    line.clear()
    assert line.ended(GREEDY[0], 0.1) is None and line.comes(b"third", GREEDY, 0.1)
