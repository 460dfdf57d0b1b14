"""A house that an operator has adopted over the network."""

import grpc

from capsule.v1 import (
    identity_pb2,
    identity_pb2_grpc,
)
from tests.conformance.client import Client, Key
from tests.support.house import Standing


class Adopted:
    """A house, its first operator, and a client with a pinned certificate."""

    def __init__(self, house: Standing) -> None:
        self.house = house
        self.key = Key()
        self.client = Client(house.address)
        self.client.adopt(self.key)

    def channel(self) -> grpc.Channel:
        return self.client.channel

    def metadata(self, key: Key | None = None) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {(key or self.key).token(self.client.capsule_id)}"),)

    def add(self, role: int) -> Key:
        key = Key()
        stub = identity_pb2_grpc.IdentityServiceStub(self.channel())
        stub.KeyAdd(
            identity_pb2.KeyAddRequest(pubkey=key.public, name=f"role {role}", role=role),  # type: ignore[arg-type]
            metadata=self.metadata(),
        )
        return key


def endpoint(house: Standing) -> tuple[str, int]:
    host, _, port = house.address.rpartition(":")
    return host, int(port)
