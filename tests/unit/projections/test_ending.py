"""Who ends first of several."""

from projections.ending import ending_turns


def test_users_end_before_what_they_use_whatever_the_order_they_were_named_in() -> None:
    needs = {"web": ("api",), "api": ("db",), "job": ("db",)}
    assert ending_turns(needs, ["db", "api", "job", "web"]) == [["job", "web"], ["api"], ["db"]]


def test_who_is_not_to_end_holds_nobody_up() -> None:
    assert ending_turns({"web": ("api",), "api": ("db",)}, ["db", "web"]) == [["db", "web"]]


def test_without_dependencies_all_end_at_once() -> None:
    assert ending_turns({}, ["b", "a"]) == [["b", "a"]] and ending_turns({}, []) == []


def test_a_circle_that_nothing_admitted_still_ends() -> None:
    assert ending_turns({"a": ("b",), "b": ("a",), "c": ()}, ["a", "b", "c"]) == [["c"], ["a", "b"]]
