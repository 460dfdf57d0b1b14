"""Debian's docker-registry for tests: on loopback, with or without TLS, open, with a password, or with tokens.

The token server is the tests' own: it signs what the registry was told to trust, and remembers who asked for what.
"""

import base64
import json
import re
import shutil
import ssl
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
from cryptography.hazmat.primitives import serialization

from tests.support.certificates import Signed, authority, server
from tests.support.images import Sample, blobs
from tools.demo_image import archive

USER, PASSWORD = "reader", "correct horse"
# bcrypt of PASSWORD, made once: the registry takes no other form.
HTPASSWD = "reader:$2b$05$sAUz7bkkW2sUJpYp7EWwY.QrZLFKhZomRBySD2ZdLhJSXT.swH7ya\n"
_LISTENING = re.compile(r"listening on (127\.0\.0\.1:\d+)")


class RunningRegistry:
    """One registry. `host` is what stands in image names."""

    def __init__(self, host: str, ca: Signed | None, tokens: "TokenServer | None", process: "subprocess.Popen[bytes]"):
        self.host = host
        self.ca = ca
        self.tokens = tokens
        self.process = process

    def push(self, sample: Sample, name: str) -> str:
        """Put the sample there as `repository:tag`; the reference by which it is pulled."""
        repository, _, tag = name.partition(":")
        made = blobs(sample)
        with self._client(repository) as client:
            target = str(made.manifest["digest"])
            for digest, content in made.content.items():
                if digest != target:
                    self._upload(client, repository, digest, content)
            self._put(client, repository, tag, str(made.manifest["mediaType"]), made.content[target])
        return f"{self.host}/{repository}:{tag}"

    def push_document(self, repository: str, tag: str, media_type: str, content: bytes) -> None:
        """A manifest or an index whose parts are there."""
        with self._client(repository) as client:
            self._put(client, repository, tag, media_type, content)

    def fill(self, inside: tuple[str, ...]) -> None:
        """The demo image is there, as skopeo copies it on the machine that this one runs on: with TLS and a password."""
        assert self.ca is not None
        with tempfile.TemporaryDirectory() as scratch:
            demo, trusted = Path(scratch) / "demo.tar", Path(scratch) / "trusted"
            demo.write_bytes(archive("demo:1"))
            trusted.mkdir()
            shutil.copy(self.ca.certificate_file, trusted / "ca.crt")
            options = ("--dest-cert-dir", str(trusted), "--dest-creds", f"{USER}:{PASSWORD}")
            target = f"docker://{self.host}/demo:1"
            subprocess.run([*inside, "skopeo", "copy", "-q", *options, f"oci-archive:{demo}", target], check=True)

    def _client(self, repository: str) -> httpx.Client:
        headers = {}
        if self.tokens is not None:
            access = [{"type": "repository", "name": repository, "actions": ["pull", "push"]}]
            headers["Authorization"] = f"Bearer {self.tokens.signed('tests', access)}"
        scheme = "http" if self.ca is None else "https"
        verify = ssl.create_default_context(cafile=None if self.ca is None else str(self.ca.certificate_file))
        auth = httpx.BasicAuth(USER, PASSWORD) if self.tokens is None else None
        return httpx.Client(base_url=f"{scheme}://{self.host}", verify=verify, headers=headers, auth=auth, trust_env=False)  # fmt: skip

    def _upload(self, client: httpx.Client, repository: str, digest: str, content: bytes) -> None:
        begun = client.post(f"/v2/{repository}/blobs/uploads/").raise_for_status()
        location = httpx.URL(begun.headers["location"]).copy_merge_params({"digest": digest})
        client.put(location, content=content, headers={"Content-Type": "application/octet-stream"}).raise_for_status()

    def _put(self, client: httpx.Client, repository: str, tag: str, media_type: str, content: bytes) -> None:
        path = f"/v2/{repository}/manifests/{tag}"
        client.put(path, content=content, headers={"Content-Type": media_type}).raise_for_status()


@contextmanager
def registry(
    *, tls: bool = False, auth: str = "", storage: Path | None = None, inside: tuple[str, ...] = ()
) -> Iterator[RunningRegistry]:
    """A registry of its own; `auth` is empty, `basic` or `token`, `inside` the prefix that runs it on a machine of its
    own (site.py)."""
    with tempfile.TemporaryDirectory(prefix="capsule-registry-") as scratch, ExitStack() as stack:
        directory = Path(scratch)
        ca = authority(directory) if tls else None
        tokens = stack.enter_context(closing(TokenServer(directory))) if auth == "token" else None
        config = {
            "version": 0.1,
            "log": {"level": "info", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(storage or directory / "storage")}},
            "http": {"addr": "127.0.0.1:0", **(_tls(directory, ca) if ca else {})},
            "auth": _auth(directory, auth, tokens),
        }
        file = directory / "config.yml"
        file.write_text(json.dumps({name: value for name, value in config.items() if value}))
        out = stack.enter_context((directory / "log").open("wb"))
        command = [*inside, "docker-registry", "serve", str(file)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        stack.callback(process.wait)
        stack.callback(process.kill)
        yield RunningRegistry(_host(directory / "log", process), ca, tokens, process)


def _tls(directory: Path, ca: Signed) -> dict[str, object]:
    own = server(directory, ca)
    return {"tls": {"certificate": str(own.certificate_file), "key": str(own.key_file)}}


def _auth(directory: Path, auth: str, tokens: "TokenServer | None") -> dict[str, object]:
    if auth == "basic":
        (directory / "htpasswd").write_text(HTPASSWD)
        return {"htpasswd": {"realm": "tests", "path": str(directory / "htpasswd")}}
    if tokens is not None:
        return {
            "token": {
                "realm": tokens.url,
                "service": "tests",
                "issuer": "tests",
                "rootcertbundle": str(tokens.signer.certificate_file),
            }
        }
    return {}


def _host(log: Path, process: "subprocess.Popen[bytes]") -> str:
    deadline = time.monotonic() + 20
    while (found := _LISTENING.search(log.read_text())) is None:
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
    return found[1]


class TokenServer:
    """Gives tokens to USER, and to nobody for what is `public/…`. `asked` has (user, scope) of every request; what is
    `forbidden/…` it gives to nobody at all. `lifetime_s` is how long a token is good."""

    def __init__(self, directory: Path) -> None:
        self.signer = authority(directory, "token-signer")
        self.asked: list[tuple[str, str]] = []
        self.lifetime_s = 300
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/token"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        query = parse_qs(urlsplit(request.path).query)
        scope = query.get("scope", [""])[0]
        user, password = _credentials(request.headers.get("Authorization", ""))
        self.asked.append((user, scope))
        if user and (user, password) != (USER, PASSWORD):
            self._send(request, 401, {"details": "incorrect username or password"})
            return
        kind, _, rest = scope.partition(":")
        name = rest.rpartition(":")[0]
        given = name.startswith("public/") or (user == USER and not name.startswith("forbidden/"))
        access = [{"type": kind, "name": name, "actions": ["pull"]}] if scope and given else []
        self._send(request, 200, {"token": self.signed(user, access), "expires_in": self.lifetime_s})

    def signed(self, subject: str, access: Sequence[Mapping[str, object]]) -> str:
        now = int(time.time())
        der = self.signer.certificate.public_bytes(serialization.Encoding.DER)
        claims = {
            "iss": "tests",
            "sub": subject,
            "aud": "tests",
            "iat": now,
            "nbf": now - 5,
            "exp": now + self.lifetime_s,
            "jti": uuid.uuid4().hex,
            "access": access,
        }
        return jwt.encode(claims, self.signer.key, "ES256", headers={"x5c": [base64.b64encode(der).decode()]})

    def _send(self, request: BaseHTTPRequestHandler, status: int, body: dict[str, object]) -> None:
        content = json.dumps(body).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)


def _credentials(header: str) -> tuple[str, str]:
    if not header.startswith("Basic "):
        return "", ""
    user, _, password = base64.b64decode(header[6:]).decode().partition(":")
    return user, password
