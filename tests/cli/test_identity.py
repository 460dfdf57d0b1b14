"""Adoption, keys, roles and contexts, as operators meet them: two people, one machine, the network between."""

import itertools
import json
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from capsulectl.errors import Failure
from capsulectl.handshake import endpoint, joined
from capsulectl.operator_key import load, load_or_make, public_key, text_of
from tests.support.daemon import CTL, Daemon, daemon
from tests.support.operators import Operator
from tests.support.programs import running


@pytest.fixture(scope="module")
def machine() -> Iterator[Daemon]:
    with daemon(start=False) as made:
        made.start("--listen", "127.0.0.1:0")
        yield made


@pytest.fixture(scope="module")
def address(machine: Daemon) -> str:
    found: str = machine.data("capsule", "info")["addresses"][0]
    return found


@pytest.fixture(scope="module")
def anna(machine: Daemon, address: str, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """She adopted the machine."""
    anna = Operator(tmp_path_factory.mktemp("anna") / "config")
    fingerprint = machine.data("capsule", "info")["tlsFingerprintSha256"]
    assert f"fingerprint {fingerprint}" in machine.output() and "not adopted yet" in machine.output()
    assert f"certificate {fingerprint}" in machine.output()
    blind = anna.ctl("adopt", address)
    assert blind.returncode == 2 and fingerprint in blind.stderr and "--fingerprint" in blind.stderr
    wrong = anna.ctl("adopt", address, "--fingerprint", "0" * 64)
    assert wrong.returncode == 1 and "REFUSED" in wrong.stderr
    assert not machine.data("key", "list")
    assert anna.good("adopt", address, "--fingerprint", fingerprint, "--name", "home", "--operator", "anna") == "home\n"
    return anna


@pytest.fixture
def bert(anna: Operator, address: str, tmp_path: Path) -> Iterator[Operator]:
    """He has a key that nobody knows yet; whatever it was allowed is taken back."""
    bert = Operator(tmp_path / "bert")
    yield bert
    anna.ctl("key", "rm", "bert", "--yes")


@pytest.mark.real
def test_nothing_older_than_tls_1_3_is_spoken(address: str) -> None:
    host, port = endpoint(address)
    for version, spoken in ((ssl.TLSVersion.TLSv1_2, False), (ssl.TLSVersion.TLSv1_3, True)):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = version
        with socket.create_connection((host, port), 10) as plain:
            try:
                assert context.wrap_socket(plain).version() == "TLSv1.3"
            except OSError:
                assert not spoken
            else:
                assert spoken


@pytest.mark.real
def test_the_adopter_is_an_admin_and_known_by_name(anna: Operator) -> None:
    me = anna.data("whoami")
    assert (me["name"], me["role"]) == ("anna", "admin")
    assert anna.good("list", "-o", "name") == ""
    (key,) = anna.data("key", "list")
    assert key["kid"] == me["kid"] == anna.data("key", "show")["kid"]


@pytest.mark.real
def test_the_machine_itself_is_an_admin_without_a_key(machine: Daemon, anna: Operator) -> None:
    me = machine.data("whoami")
    assert (me["name"], me["role"], me.get("kid", "")) == ("local", "admin", "")


@pytest.mark.real
def test_a_stranger_finds_the_window_closed(bert: Operator, address: str) -> None:
    done = bert.ctl("adopt", address, "--yes")
    assert done.returncode == 1 and "adoption window closed" in done.stderr and "key add" in done.stderr
    assert not (bert.config / "config.yaml").exists()


@pytest.mark.real
def test_a_second_operator_is_added_adopts_and_has_a_role(anna: Operator, bert: Operator, address: str) -> None:
    anna.good("key", "add", bert.public_key(), "--name", "bert", "--role", "reader")
    assert bert.good("adopt", address, "--yes").startswith("capsule-")
    assert bert.data("whoami")["role"] == "reader"
    bert.good("list")
    denied = bert.ctl("stop", "web")
    assert (
        denied.returncode == 1
        and "your key has the role reader, and this takes operator (WorkloadService/Stop)" in denied.stderr
    )
    again = anna.ctl("key", "add", bert.public_key(), "--name", "bert")
    assert again.returncode == 1 and "enrolled already" in again.stderr


@pytest.mark.real
def test_a_readers_key_is_enough_for_the_page(anna: Operator, bert: Operator, address: str) -> None:
    anna.good("key", "add", bert.public_key(), "--name", "bert", "--role", "reader")
    bert.good("adopt", address, "--yes")
    with running([CTL, "ui"], env=bert.environment, stdout=subprocess.PIPE, text=True) as page:
        try:
            assert page.stdout is not None
            where = page.stdout.readline().strip()
            with urllib.request.urlopen(f"{where}follow/live", timeout=30) as news:
                told = (line.split()[1] for line in news if line.startswith(b"event: "))
                kinds = list(itertools.islice(told, 3))
            assert kinds == [b"world", b"workloads", b"entries"]
            with urllib.request.urlopen(f"{where}read/changes?before=0&after=1", timeout=30) as changes:
                assert json.load(changes) == []
        finally:
            page.terminate()


@pytest.mark.real
def test_a_role_can_be_raised_and_a_key_removed(anna: Operator, bert: Operator, address: str) -> None:
    anna.good("key", "add", "-", "--name", "bert", "--role", "reader", stdin=bert.public_key())
    bert.good("adopt", address, "--yes")
    anna.good("key", "role", "bert", "operator")
    assert bert.data("whoami")["role"] == "operator"
    assert "there is no workload web" in bert.ctl("stop", "web").stderr
    root = '{name: r, kind: Container, container: {image: "demo:1", networkMode: NONE, privileged: true}}'
    denied = bert.ctl("apply", "-f", "-", stdin=root)
    assert denied.returncode == 1 and "root on the machine by another name" in denied.stderr
    unasked = anna.ctl("key", "rm", "bert")
    assert unasked.returncode == 2 and "--yes" in unasked.stderr
    anna.good("key", "rm", "bert", "--yes")
    gone = bert.ctl("list")
    assert gone.returncode == 1 and "not enrolled" in gone.stderr


SKEWED = """
import sys, time, types
import capsulectl.operator_key as key
off_s = int(sys.argv.pop(1))
key.time = types.SimpleNamespace(time=lambda: time.time() + off_s)
from capsulectl.__main__ import main
main()
"""


@pytest.mark.real
@pytest.mark.parametrize(("years", "says"), [(-3, "the token has expired"), (3, "the token is from the future")])
def test_a_clock_that_is_off_by_years_is_told_with_both_times(anna: Operator, years: int, says: str) -> None:
    line = [sys.executable, "-c", SKEWED, str(years * 31_536_000), "list", "--capsule", "home"]
    done = subprocess.run(line, env=anna.environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "") and done.stderr.startswith(f"capsulectl: {says}: it was made at ")
    assert done.stderr.endswith("More than 5 minutes apart is too far: set the wrong clock right\n")


@pytest.mark.real
def test_the_last_admin_stays(anna: Operator) -> None:
    last = anna.ctl("key", "rm", "anna", "--yes")
    assert last.returncode == 1 and "last admin" in last.stderr
    assert anna.ctl("key", "role", "anna", "reader").returncode == 1


@pytest.mark.real
def test_every_call_of_an_operator_is_remembered_with_who_and_where(anna: Operator) -> None:
    anna.ctl("stop", "nobody")
    event = json.loads(anna.good("history", "--type", "call.refused", "-n", "1", "-o", "json"))
    assert (
        event["actorName"] == "anna" and event["actorRole"] == "admin" and event["actor"] == anna.data("whoami")["kid"]
    )
    assert event["body"]["peer"].startswith("127.0.0.1:") and event["body"]["took_us"] > 0 and event["body"]["jti"]


@pytest.mark.real
def test_a_changed_certificate_is_refused_loudly_and_nothing_is_sent(anna: Operator, tmp_path: Path) -> None:
    with daemon(start=False) as other:
        other.start("--listen", "127.0.0.1:0")
        config = yaml.safe_load((anna.config / "config.yaml").read_text())
        address = config["contexts"]["home"]["addr"] = other.data("capsule", "info")["addresses"][0]
        mallory = Operator(tmp_path / "config")
        mallory.config.mkdir()
        (mallory.config / "config.yaml").write_text(yaml.safe_dump(config))
        first = mallory.ctl("list")  # no certificate is kept here yet
        (mallory.config / "certificates").mkdir()
        for kept in (anna.config / "certificates").iterdir():
            (mallory.config / "certificates" / kept.name).write_bytes(kept.read_bytes())
        second = mallory.ctl("list")
        for done in (first, second):
            assert done.returncode == 1 and done.stderr.startswith("capsulectl: REFUSED: THE CERTIFICATE")
            assert done.stderr.endswith(f"capsulectl context rm home && capsulectl adopt {address} --name home\n")
        assert not other.history("--type", "call.")


@pytest.mark.real
def test_the_configuration_is_private_and_keeps_what_other_clients_wrote(anna: Operator, tmp_path: Path) -> None:
    other = Operator(tmp_path / "c")
    config = yaml.safe_load((anna.config / "config.yaml").read_text())
    config["theirs"] = {"kept": 1}
    config["contexts"]["home"]["extra"] = "kept"
    config["contexts"]["away"] = dict(config["contexts"]["home"], addr="192.0.2.1:50000")
    other.config.mkdir()
    (other.config / "config.yaml").write_text(yaml.safe_dump(config))
    other.good("context", "use", "away")
    other.good("context", "rm", "away")
    saved = yaml.safe_load((other.config / "config.yaml").read_text())
    assert saved["theirs"] == {"kept": 1} and saved["contexts"]["home"]["extra"] == "kept"
    assert list(saved["contexts"]) == ["home"] and saved["current"] == ""
    assert stat.S_IMODE((other.config / "config.yaml").stat().st_mode) == 0o600
    assert stat.S_IMODE(anna.config.stat().st_mode) == 0o700
    for private in ("config.yaml", "operator.ed25519"):
        assert stat.S_IMODE((anna.config / private).stat().st_mode) == 0o600
    assert {file.name for file in anna.config.glob(".*")} <= {".config.yaml.json", ".local.yaml.json"}


@pytest.mark.real
def test_a_capsule_is_named_by_context_address_variable_or_current(
    anna: Operator, address: str, tmp_path: Path
) -> None:
    anna.good("context", "add", "here", "--socket", "/nonexistent", "--use")
    assert "/nonexistent" in anna.ctl("list").stderr
    anna.good("list", "--capsule", "home")
    anna.good("list", "--capsule", address)
    anna.environment["CAPSULE_HOST"] = "home"
    anna.good("list")
    assert "/nonexistent" in anna.ctl("list", "--capsule", "here").stderr
    del anna.environment["CAPSULE_HOST"]
    anna.good("context", "use", "home")
    anna.good("list")
    listed = anna.data("context", "list")
    assert listed["current"] == "home" and listed["contexts"] == {"home": address, "here": "unix:/nonexistent"}
    assert anna.data("context", "show", "home")["addr"] == address
    anna.good("context", "rm", "here")
    unknown = anna.ctl("list", "--capsule", "192.0.2.7:50000")
    assert unknown.returncode == 1 and "capsulectl adopt 192.0.2.7:50000" in unknown.stderr


@pytest.mark.real
@pytest.mark.parametrize("name", ["", " ", "unix:here", "/here", "./here", "--here", "two\nlines"])
def test_a_context_has_a_name_by_which_it_can_be_meant(anna: Operator, address: str, name: str) -> None:
    before = anna.good("context", "list")
    for line in (
        ("context", "add", "--socket=/nonexistent", "--", name),
        ("adopt", address, f"--name={name}", "--yes"),
    ):
        failed = anna.ctl(*line)
        assert failed.returncode == 2 and "is no name of a context" in failed.stderr, failed.stderr
    assert anna.good("context", "list") == before


@pytest.mark.real
def test_a_capsule_that_moved_is_met_with_the_key_of_its_context(anna: Operator, address: str, tmp_path: Path) -> None:
    moved = Operator(tmp_path / "config")
    shutil.copytree(anna.config, moved.config)
    file, key = moved.config / "config.yaml", moved.config / "keys/home.ed25519"
    key.parent.mkdir()
    (moved.config / "operator.ed25519").rename(key)  # as `install` has it
    kept = yaml.safe_load(file.read_text())
    kept["contexts"] = {"home": kept["contexts"]["home"] | {"addr": "192.0.2.1:50000", "key_path": str(key)}}
    file.write_text(yaml.safe_dump(kept))
    assert moved.good("adopt", address, "--yes") == "home\n"
    now = yaml.safe_load(file.read_text())["contexts"]
    assert now == {"home": kept["contexts"]["home"] | {"addr": address}}
    assert json.loads(moved.good("whoami", "-o", "json"))["name"] == "anna"
    assert not (moved.config / "operator.ed25519").exists()


@pytest.mark.real
def test_a_choice_of_another_client_counts_when_it_is_the_newer(anna: Operator, tmp_path: Path) -> None:
    both = Operator(tmp_path / "c")
    both.good("context", "add", "here", "--socket", "/here", "--use")
    config = yaml.safe_load((anna.config / "config.yaml").read_text())
    (both.config / "config.yaml").write_text(yaml.safe_dump(config))
    assert both.data("context", "list")["current"] == "home"
    both.good("context", "use", "here")
    assert both.data("context", "list")["current"] == "here"
    (both.config / "config.yaml").write_text(yaml.safe_dump(config | {"current": "another"}))
    assert both.data("context", "list")["current"] == "another"


def test_a_key_is_written_as_other_clients_read_it_and_any_form_of_it_is_read(tmp_path: Path) -> None:
    made = load_or_make(tmp_path / "k" / "operator.ed25519")
    private = load_pem_private_key((tmp_path / "k" / "operator.ed25519").read_bytes(), None)
    assert isinstance(private, Ed25519PrivateKey) and private.public_key().public_bytes_raw() == made.public
    other = tmp_path / "other"
    other.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).replace(b"\n", b"\r\n"))
    assert load(other).kid == made.kid
    public = private.public_key()
    forms = (
        text_of(made.public),
        made.public.hex(),
        public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() + " me@here",
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
    )
    assert all(public_key(form) == made.public for form in forms)
    for bad in ("", "abc", "ssh-ed25519 AAAA", "ssh-rsa AAAA", "zz" * 32):
        with pytest.raises(Failure):
            public_key(bad)
    other.write_text("nothing")
    with pytest.raises(Failure, match="no private key"):
        load(other)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("a", "a", 50_000), ("a:1", "a", 1), ("[::1]:2", "::1", 2), ("[::1]", "::1", 50_000), ("::1", "::1", 50_000)],
)
def test_addresses_are_read_with_and_without_a_port(text: str, host: str, port: int) -> None:
    assert endpoint(text) == (host, port)
    assert endpoint(joined(host, port)) == (host, port)


@pytest.mark.parametrize("text", ["", ":1", "a:0", "a:65536", "a:b", "unix:/x"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no HOST:PORT"):
        endpoint(text)
