"""The type of an aggregate's table of handlers, one per event type it folds."""

from collections.abc import Callable
from typing import Any

from journal.events import Event

Handlers = dict[type[Event], Callable[..., Any]]
"""Each handler takes (Machine, Header, the event of its key) and returns nothing."""
