"""A house that is adopted; and clients that only ping, for two minutes, beside whatever else is tested: the last test here asks how they fared."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.conformance.client import Client, Key
from tests.support.adopted import Adopted
from tests.support.house import standing

PING_MS = 10_000
SILENCE_S = 120.0


class Pinger:
    """One adopted client that says nothing but pings, and what became of its connection."""

    def __init__(self, state: Path) -> None:
        self.states: list[grpc.ChannelConnectivity] = []
        self.failure: BaseException | None = None
        self._state = state
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            with standing(self._state) as house:
                pings = [
                    ("grpc.keepalive_time_ms", PING_MS),
                    ("grpc.keepalive_timeout_ms", 5_000),
                    ("grpc.keepalive_permit_without_calls", 1),
                    ("grpc.http2.max_pings_without_data", 0),
                ]
                client, key = Client(house.address, options=pings), Key()
                client.adopt(key)
                client.channel.subscribe(self.states.append)
                time.sleep(SILENCE_S)
                assert client.signed(key, "IdentityService/WhoAmI", client.message("WhoAmIRequest")).kid == key.kid
                client.channel.unsubscribe(self.states.append)
                client.close()
        except BaseException as error:
            self.failure = error

    def result(self) -> list[grpc.ChannelConnectivity]:
        """The states that the connection went through."""
        self._thread.join(SILENCE_S + 60)
        assert not self._thread.is_alive()
        if self.failure is not None:
            raise self.failure
        return self.states


@pytest.fixture(scope="session", autouse=True)
def pinger(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pinger | None]:
    if not any(
        "pinger" in getattr(item, "fixturenames", ()) and "pings" in item.name for item in request.session.items
    ):
        yield None  # nobody asks this time
        return
    made = Pinger(tmp_path_factory.mktemp("pings"))
    yield made
    made.result()


@pytest.fixture
def adopted(tmp_path: Path) -> Iterator[Adopted]:
    with standing(tmp_path / "state") as house:
        made = Adopted(house)
        yield made
        made.client.close()
