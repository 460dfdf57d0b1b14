"""Runs last here: by now the pinging client has been silent for a while."""

import grpc

from tests.integration.identity.conftest import Pinger


def test_pings_every_ten_seconds_for_two_minutes_without_a_call_are_welcome(pinger: Pinger) -> None:
    """One that is told off ("too many pings") sees its connection closed, and dials again."""
    assert pinger.result() == [grpc.ChannelConnectivity.READY]
