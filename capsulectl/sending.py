"""A call whose messages are made from a file as they are sent. gRPC takes them on a thread of its own, and has no words
for what goes wrong there.
"""

from collections.abc import Iterator
from typing import Any

from capsulectl.connection import Connection
from capsulectl.errors import Failure

UNCHANGED = "nothing was changed"


def send(
    connection: Connection, method: Any, messages: Iterator[Any], file: str, *, timeout: float | None, then: str
) -> Any:
    """The answer. `then`: how things stand where `file` cannot be read to its end. Raises Failure, for that, too."""
    lost: list[OSError] = []

    def told() -> Iterator[Any]:
        try:
            yield from messages
        except OSError as error:
            lost.append(error)
            raise

    try:
        return connection.call(method, told(), timeout=timeout)
    except Failure as failure:
        if not lost:
            raise
        named = "standard input" if file == "-" else file
        raise Failure(f"{named} cannot be read: {lost[0].strerror}; {then}") from failure
