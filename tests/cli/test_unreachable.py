"""Whoever is at the other end is no capsule, or nobody is: what is said of each, and that it is not the same."""

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from capsulectl.handshake import fingerprint_of, pem_of
from tests.support.certificates import authority, server
from tests.support.daemon import CTL
from tests.support.nobody import as_user
from tests.support.operators import Operator

RIGHT_PORT = "is it the right port (50000 if nobody chose another)?"
NO_CAPSULE = f"what listens there does not speak as a capsule does: {RIGHT_PORT}"
HUNG_UP = "whoever listens there hung up at once: it is no capsule, or has more connections than it takes"
ENDINGS = {
    "nobody": (
        "127.0.0.1:{port}",
        f"Connection refused: does capsuled run there, and {RIGHT_PORT} `capsulectl discover` shows those on the LAN",
    ),
    "six": (
        "[::1]:{port}",
        f"Connection refused: does capsuled run there, and {RIGHT_PORT} `capsulectl discover` shows those on the LAN",
    ),
    "ssh": ("127.0.0.1:{port}", NO_CAPSULE),
    "web": ("127.0.0.1:{port}", NO_CAPSULE),
    "hangs-up": ("127.0.0.1:{port}", HUNG_UP),
}
"""What is there, its address, and what is said of it."""


class Page(BaseHTTPRequestHandler):
    """A web server, as it may well have taken a port that one mistypes."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """A server of each kind on this machine; to `nobody` and `six` nobody listens."""
    with contextlib.ExitStack() as open_:

        def listening() -> socket.socket:
            return open_.enter_context(socket.create_server(("127.0.0.1", 0)))

        def answer(met: socket.socket, do: Callable[[socket.socket], object]) -> int:
            def serve() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        do(met.accept()[0])

            threading.Thread(target=serve, daemon=True).start()
            return int(met.getsockname()[1])

        def served(certificate: Path | None) -> int:
            web = open_.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Page))
            open_.callback(web.shutdown)
            if certificate is not None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(certificate, certificate.with_suffix(".key"))
                web.socket = context.wrap_socket(web.socket, server_side=True)
            threading.Thread(target=web.serve_forever, daemon=True).start()
            return int(web.server_address[1])

        kept: list[socket.socket] = []

        def greet(one: socket.socket) -> None:
            one.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
            kept.append(one)

        directory = tmp_path_factory.mktemp("web")
        signed = server(directory, authority(directory))
        taken = open_.enter_context(socket.socket())
        taken.bind(("127.0.0.1", 0))
        free = int(taken.getsockname()[1])
        yield {
            "nobody": free,
            "six": free,
            "ssh": answer(listening(), greet),
            "hangs-up": answer(listening(), lambda one: one.close()),
            "web": served(None),
            "tls": served(signed.certificate_file),
        }
        for one in kept:
            one.close()


@pytest.fixture(scope="module")
def operator(ports: dict[str, int], tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """Somebody whose contexts lead to none but these, with a key and a certificate that are in order."""
    operator = Operator(tmp_path_factory.mktemp("operator"))
    operator.public_key()
    directory = tmp_path_factory.mktemp("pinned")
    der = ssl.PEM_cert_to_DER_cert(authority(directory).pem)
    pinned = operator.config / "certificates" / f"{fingerprint_of(der)}.pem"
    pinned.parent.mkdir()
    pinned.write_bytes(pem_of(der))
    one = {
        "capsule_id": "2dfe843b-2b5a-4d76-8d58-51a1aae94769",
        "tls_fingerprint_sha256": fingerprint_of(der),
        "key_path": str(operator.config / "operator.ed25519"),
    }
    contexts = {name: {**one, "addr": text.format(port=ports[name])} for name, (text, _) in ENDINGS.items()}
    contexts["tls"] = {**one, "addr": f"127.0.0.1:{ports['tls']}"}
    contexts["unnamed"] = {**one, "addr": "capsule.invalid:50000"}
    contexts["keyless"] = {**one, "addr": "127.0.0.1:1", "key_path": str(operator.config / "lost.ed25519")}
    contexts["half"] = {"addr": "127.0.0.1:1"}
    (operator.config / "config.yaml").write_text(yaml.safe_dump({"current": "nobody", "contexts": contexts}))
    return operator


@pytest.mark.parametrize("name", ENDINGS)
def test_who_is_met_there_and_is_none_is_told_as_what_it_is(
    operator: Operator, ports: dict[str, int], name: str
) -> None:
    address, says = ENDINGS[name][0].format(port=ports[name]), ENDINGS[name][1]
    adopted = operator.ctl("adopt", address, "--yes")
    assert (adopted.returncode, adopted.stdout) == (1, "")
    assert adopted.stderr == f"capsulectl: no capsule answers at {address}: {says}\n"
    called = operator.ctl("list", "-o", "json", "--capsule", name)
    assert (called.returncode, called.stdout) == (1, "")
    assert called.stderr == f"capsulectl: the capsule does not answer at {address}: {says}\n"


def test_a_web_server_with_a_certificate_is_no_capsule_and_no_adopted_one(
    operator: Operator, ports: dict[str, int]
) -> None:
    adopted = operator.ctl("adopt", f"127.0.0.1:{ports['tls']}", "--yes")
    assert adopted.returncode == 1 and "what answers there is no capsule: is it the right port?" in adopted.stderr
    called = operator.ctl("exec", "--capsule", "tls", "web", "ls")
    assert called.returncode == 125 and "IS NOT THE ONE THAT WAS PINNED" in called.stderr


UNSENT = {
    "unnamed": "Temporary failure in name resolution|Name or service not known: is the name right? "
    "`capsulectl discover` finds capsules without one",
    "keyless": "lost.ed25519 cannot be read: No such file or directory. Put it back from a copy; if there is none, "
    "move it away: `capsulectl key show` makes another, which an admin of the capsule lets in by `capsulectl key add`",
    "half": "the context half has no capsule_id, tls_fingerprint_sha256, key_path: adopt the capsule again",
    "nobodi": "there is no context nobodi: do you mean nobody?",
    "elsewhere": "there is no context elsewhere: `capsulectl context list` shows those there are",
    "10.0.0.1:5": "there is no context 10.0.0.1:5: `capsulectl adopt 10.0.0.1:5` makes one",
    "/etc/passwd": "the capsule does not answer at unix:/etc/passwd: that is no socket. Is it the right path?",
    "/nowhere": "there is no such socket. Is it the right path, and does capsuled run? `make up` starts one",
}
"""What `--capsule` says, and what is said of it. Nothing was sent, and so nothing can have changed."""


@pytest.mark.parametrize("capsule", UNSENT)
def test_of_what_was_not_sent_nothing_can_have_changed(operator: Operator, capsule: str) -> None:
    done = operator.ctl("stop", "web", "--capsule", capsule)
    assert (done.returncode, done.stdout) == (1, "") and done.stderr.startswith("capsulectl: ")
    words = UNSENT[capsule].partition("|")[2] or UNSENT[capsule]
    assert words.split(": ", 1)[-1] in done.stderr and "may have changed" not in done.stderr


@pytest.mark.parametrize(
    ("capsule", "says"),
    [("unix:", "there is no path behind unix:\n"), (f"/{'x' * 120}", "that has 107 bytes at most\n")],
)
def test_what_can_be_no_socket_is_a_mistake_of_the_line(operator: Operator, capsule: str, says: str) -> None:
    done = operator.ctl("list", "--capsule", capsule)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.endswith(says)


def test_a_socket_that_a_dead_daemon_left(operator: Operator, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "s"))
    done = operator.ctl("list", "--capsule", str(tmp_path / "s"))
    assert done.returncode == 1
    assert done.stderr.endswith(f"at unix:{tmp_path}/s: is capsuled running? `make up` starts one\n")


KEYS = {
    "an empty one": (b"", "is no private key in PEM (PKCS#8), or is damaged. Put it back from a copy"),
    "bytes": (b"\x8f\xff\x00" * 99, "is no private key in PEM (PKCS#8), or is damaged. Put it back from a copy"),
    "half of one": (
        b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n",
        "is no private key in PEM (PKCS#8), or is damaged",
    ),
}


@pytest.mark.parametrize("key", KEYS)
def test_a_key_that_is_none_is_said_to_be_one_and_nothing_of_it_is_shown(
    operator: Operator, tmp_path: Path, key: str
) -> None:
    content, says = KEYS[key]
    other = Operator(tmp_path / "config")
    shutil.copytree(operator.config, other.config)
    text = (other.config / "config.yaml").read_text().replace(str(operator.config), str(other.config))
    (other.config / "config.yaml").write_text(text)
    (other.config / "operator.ed25519").write_bytes(content)
    done = other.ctl("list")
    assert done.returncode == 1 and f"{other.config}/operator.ed25519 {says}" in done.stderr
    assert done.stderr.count("\n") == 1 and "http" not in done.stderr


def test_a_key_that_others_may_read_is_used_and_warned_of(operator: Operator) -> None:
    key = operator.config / "operator.ed25519"
    key.chmod(0o644)
    try:
        done = operator.ctl("key", "show", "-o", "name")
    finally:
        key.chmod(0o600)
    assert done.returncode == 0 and len(done.stdout) == 44
    assert done.stderr == f"capsulectl: WARNING: others may read the operator's key: `chmod 600 {key}`\n"


CONFIGURATIONS = {
    b"- home\n": "is no configuration: `contexts` has a mapping for each name. Mend it, or move it away",
    b"contexts: [home]\n": "is no configuration: `contexts` has a mapping for each name. Mend it, or move it away",
    b"contexts: {home: 5}\n": "is no configuration: `contexts` has a mapping for each name. Mend it, or move it away",
    b"current: [\n": ":2: no valid YAML: did not find expected node content. Mend it, or move it away",
    b"current: \xff\n": "is no text. Mend it, or move it away and adopt the capsules again",
}


@pytest.mark.parametrize("content", CONFIGURATIONS)
def test_a_configuration_that_is_damaged_is_named_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    operator = Operator(tmp_path)
    (tmp_path / "config.yaml").write_bytes(content)
    for verb in (["list"], ["context", "list", "-o", "json"]):
        done = operator.ctl(*verb)
        assert (done.returncode, done.stdout) == (1, ""), done.stderr
        assert f"{tmp_path}/config.yaml" in done.stderr and CONFIGURATIONS[content] in done.stderr
        assert done.stderr.count("\n") == 1 and (tmp_path / "config.yaml").read_bytes() == content


@pytest.mark.real
def test_who_has_no_home_is_told_what_to_set() -> None:
    done = subprocess.run([*as_user(4242), "env", "-i", CTL, "list"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    says = "you have no home directory to keep the configuration in: set CAPSULE_CONFIG_DIR, or HOME"
    assert done.stderr == f"capsulectl: {says}\n"
