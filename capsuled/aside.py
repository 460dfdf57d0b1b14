"""Reading that takes long is done beside the event loop, on few threads and page by page: it holds up nobody's call.

A page is what a thread does in one go; for a caller who has gone no further one is read. Threads are few, so those who
read much wait for each other, and the daemon for none of them.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from effects.unbroken import to_its_end

THREADS = 2
FIRST_PAGE = 64
"""Pages grow from this: most readers want a handful."""
PAGE_ITEMS = 1_024

T = TypeVar("T")
U = TypeVar("U")


class Aside:
    """A few threads of one's own."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "aside")

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def to_its_end(self, work: Callable[[], T]) -> T:
        """The same of work that no cancellation ends; see `to_its_end`."""
        return await to_its_end(self.run(work))

    async def pages(self, source: Iterator[T], made_of: Callable[[list[T]], U]) -> AsyncIterator[U]:
        """What `made_of` makes of each page of `source`, the last of which may be empty."""
        size, more = FIRST_PAGE, True

        def page() -> tuple[U, bool]:
            items = list(islice(source, size))
            return made_of(items), len(items) == size

        while more:
            made, more = await self.run(page)
            yield made
            size = min(size * 4, PAGE_ITEMS)
