"""The nftables table: what is rendered from mappings, and what a listing says of it."""

import shutil
import subprocess

import pytest

from effects.network import rules
from projections.network import Mapping

WEB = Mapping("tcp", 8080, "", "172.20.254.2", 80)
DNS = Mapping("udp", 53, "192.0.2.1", "172.20.254.3", 5353)
SUBNET = "172.20.254.0/24"


def test_mappings_stand_in_maps_by_protocol_and_by_whether_they_name_an_address() -> None:
    text = rules.render("br0", SUBNET, (WEB, DNS))
    assert (
        "map tcp_any { type inet_service : ipv4_addr . inet_service; elements = { 8080 : 172.20.254.2 . 80 }; }" in text
    )
    assert "elements = { 192.0.2.1 . 53 : 172.20.254.3 . 5353 }; }" in text
    assert text.count("elements = ") == 2


def test_the_old_table_goes_in_the_transaction_that_brings_the_new_one() -> None:
    lines = rules.render("br0", SUBNET, ()).splitlines()
    assert lines[:3] == ["table ip capsule_br0 {}", "delete table ip capsule_br0", "table ip capsule_br0 {"]
    assert rules.removal("br0").splitlines() == lines[:2]


def test_each_bridge_has_a_table_of_its_own_also_where_names_differ_in_a_sign_only() -> None:
    assert rules.table_of("br0") == rules.former_table_of("br0") == "capsule_br0"
    alike = ("br-a", "br.a", "br_a")
    assert len({rules.table_of(name) for name in alike}) == 3
    assert {rules.former_table_of(name) for name in alike} == {"capsule_br_a"}


def test_a_former_table_goes_in_the_transaction_that_brings_the_new_one() -> None:
    text = rules.render("br-a", SUBNET, (WEB,), "capsule_br_a")
    assert text.index("delete table ip capsule_br_a\n") < text.index("table ip capsule_br-a {\n")
    assert rules.removal("br-a", "capsule_br_a").count("delete table ") == 2


def test_what_leaves_by_the_loopback_keeps_its_source() -> None:
    assert 'ip saddr 172.20.254.0/24 oifname != { "lo", "br0" } masquerade' in rules.render("br0", SUBNET, ())


LISTING = """table ip capsule_br0 {
    map tcp_any {
        type inet_service : ipv4_addr . inet_service
        elements = { 8081 : 172.20.254.9 . 80,
                     8080 : 172.20.254.2 . 80 }
    }

    map udp_at {
        type ipv4_addr . inet_service : ipv4_addr . inet_service
    }

    chain guard {
        iifname "br0" ip daddr 127.0.0.0/8 drop
    }
}
""".replace("    ", "\t")


def test_a_listing_is_read_as_the_mappings_it_was_made_of() -> None:
    other = Mapping("tcp", 8081, "", "172.20.254.9", 80)
    assert rules.listed_elements(LISTING) == rules.elements((other, WEB)) == rules.elements((WEB, other))


def test_the_skeleton_is_the_same_whatever_is_mapped_and_another_when_a_rule_is_gone() -> None:
    emptied = LISTING.replace(LISTING[LISTING.index("\t\telements") : LISTING.index("}\n\t}") + 2], "")
    assert rules.skeleton(LISTING) == rules.skeleton(emptied) != rules.skeleton(LISTING.replace("drop", "accept"))
    assert not rules.is_complete(LISTING)


@pytest.mark.skipif(shutil.which("nft") is None or shutil.which("unshare") is None, reason="needs nft, as root")
@pytest.mark.real
def test_what_nft_lists_of_it_is_complete_and_holds_what_was_rendered() -> None:
    script = "nft -f - && nft -n list table ip capsule_br0"
    mappings = (WEB, DNS, *(Mapping("tcp", 9000 + number, "", f"172.20.254.{number + 4}", 80) for number in range(40)))
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", script],
        input=rules.render("br0", SUBNET, mappings), text=True, capture_output=True, check=True,
    )  # fmt: skip
    assert rules.is_complete(done.stdout)
    from_loopback, segments = (
        "ip saddr 127.0.0.0/8 drop",
        'oifname "br0" tcp flags 0x2 tcp option maxseg size set rt mtu',
    )
    for one in (f"ip daddr {SUBNET} drop", from_loopback, segments):
        assert one in done.stdout and not rules.is_complete(done.stdout.replace(one, ""))
    assert rules.listed_elements(done.stdout) == rules.elements(mappings)
    assert sorted(rules.mapped(rules.listed_elements(done.stdout))) == sorted(mappings)
