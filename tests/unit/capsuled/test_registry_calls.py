"""RegistryService on a house of twins: a registry is known by one spelling, that of full references."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from capsule.v1 import registry_pb2 as pb
from capsule.v1.registry_pb2_grpc import RegistryServiceStub
from capsuled.registries import RegistryAccess
from effects.images.reference import parse
from journal.events import RegistryConfigured
from tests.support.house import Standing, standing


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Standing]:
    with standing(tmp_path / "state") as made:
        yield made


@pytest.fixture
def registries(house: Standing) -> Iterator[Any]:
    channel = grpc.insecure_channel(f"unix:{house.layout.socket}", [("grpc.default_authority", "localhost")])
    yield RegistryServiceStub(channel)
    channel.close()


@pytest.mark.parametrize(
    ("typed", "image", "known"),
    [
        ("Registry.LAN:5000", "registry.lan:5000/web:1", "registry.lan:5000"),
        ("registry.lan:5000", "Registry.LAN:5000/web:1", "registry.lan:5000"),
        ("index.docker.io", "me/web:1", "docker.io"),
        ("docker.io", "Index.Docker.io/me/web:1", "docker.io"),
        ("nas", "NAS/web:1", "nas"),
    ],
)
def test_a_login_is_used_by_whatever_spelling_it_was_said(
    house: Standing, registries: Any, typed: str, image: str, known: str
) -> None:
    registries.Login(pb.RegistryLoginRequest(host=typed, username="ada", password="hush"))
    assert [one.host for one in registries.List(pb.RegistryListRequest()).registries] == [known]
    access = RegistryAccess(house.house.engine, house.house.vault)(parse(image).domain)
    assert (access.host, access.username, access.password) == (known, "ada", "hush")
    registries.Logout(pb.RegistryLogoutRequest(host=typed))
    assert list(registries.List(pb.RegistryListRequest()).registries) == []


@pytest.mark.parametrize("said", ["Registry.LAN", "registry.lan", "REGISTRY.lan"])
def test_what_an_older_release_kept_in_capitals_is_used_and_can_be_forgotten(
    house: Standing, registries: Any, said: str
) -> None:
    async def told() -> None:
        house.house.engine.record((RegistryConfigured("Registry.LAN", plain_http=True),))

    house.do(told)
    access = RegistryAccess(house.house.engine, house.house.vault)(parse(f"{said}/web:1").domain)
    assert (access.host, access.plain_http) == ("registry.lan", True)
    registries.Logout(pb.RegistryLogoutRequest(host=said))
    assert list(registries.List(pb.RegistryListRequest()).registries) == []


def test_a_login_said_anew_goes_before_an_older_spelling_and_each_is_forgotten_as_it_is_listed(
    house: Standing, registries: Any
) -> None:
    async def told() -> None:
        house.house.engine.record((RegistryConfigured("Registry.LAN", plain_http=True),))

    house.do(told)
    registries.Login(pb.RegistryLoginRequest(host="Registry.LAN", username="ada", password="hush"))
    access = RegistryAccess(house.house.engine, house.house.vault)("Registry.LAN")
    assert (access.username, access.password, access.plain_http) == ("ada", "hush", False)
    registries.Logout(pb.RegistryLogoutRequest(host="Registry.LAN"))
    assert [one.host for one in registries.List(pb.RegistryListRequest()).registries] == ["registry.lan"]
