"""A real browser without a window, driven over the pipes of its own remote debugging protocol: it listens on no port.

Messages are JSON, each ended by a NUL (https://chromedevtools.github.io/devtools-protocol/). The first step that a
test waits for is an event or a promise in the page, never a time.
"""

import base64
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = "chromium"
_ANSWERS_S = 30.0
_OPTIONS = (
    "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
    "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions", "--disable-breakpad", "--mute-audio", "--hide-scrollbars", "--force-color-profile=srgb",
    "--lang=en-GB", "--disable-features=Translate,MediaRouter,OptimizationHints",
)  # fmt: skip


class Browser:
    """One browser with one page."""

    def __init__(self, profile: Path) -> None:
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        # It reads from 3 and writes to 4: the shell puts them there, whatever their numbers are here.
        line = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
        command = ["bash", "-c", line, "bash", PROGRAM, *_OPTIONS, f"--user-data-dir={profile}", "about:blank"]
        self.process = subprocess.Popen(
            command, pass_fds=(to_browser, from_browser), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env=os.environ | {"TZ": "UTC", "HOME": str(profile)},
        )  # fmt: skip
        os.close(to_browser)
        os.close(from_browser)
        self._rest, self._number, self._session = b"", 0, ""
        self.events: list[dict[str, Any]] = []
        targets = self.send("Target.getTargets")["targetInfos"]
        page = next(one["targetId"] for one in targets if one["type"] == "page")
        self._session = self.send("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.send(f"{domain}.enable")

    # --- the protocol ------------------------------------------------------------------------------------------------

    def send(self, method: str, **parameters: Any) -> Any:
        """A command; what it answers."""
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + _ANSWERS_S
        while True:
            answer = self._next(deadline - time.monotonic(), method)
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self.events.append(answer)

    def wait(self, method: str) -> dict[str, Any]:
        """The next event of a kind, of those that came since it was last waited for, too."""
        deadline = time.monotonic() + _ANSWERS_S
        while True:
            for place, event in enumerate(self.events):
                if event.get("method") == method:
                    del self.events[: place + 1]
                    found: dict[str, Any] = event["params"]
                    return found
            self.events.append(self._next(deadline - time.monotonic(), method))

    def _next(self, seconds: float, what: str) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select((self._in,), (), (), max(0.0, seconds))
            assert ready, f"the browser does not answer: {what}"
            some = os.read(self._in, 1 << 16)
            assert some, f"the browser has ended: {what}"
            self._rest += some
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    # --- the page ----------------------------------------------------------------------------------------------------

    def open(self, address: str) -> None:
        """Load a page, to its load event."""
        self.events.clear()
        self.send("Page.navigate", url=address)
        self.wait("Page.loadEventFired")

    @contextmanager
    def beside(self, address: str, seen: bool = True) -> Iterator[None]:
        """Within, another tab shows this, and has loaded it; `seen`: in place of ours."""
        ours, self._session = self._session, ""
        tab = self.send("Target.createTarget", url="about:blank", background=not seen)["targetId"]
        try:
            self._session = self.send("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
            self.send("Page.enable")
            self.open(address)
            self._session = ours
            yield
        finally:
            self._session = ""
            self.send("Target.closeTarget", targetId=tab)
            self._session = ours

    def run(self, script: str) -> Any:
        """The value of an expression in the page; of a promise, what it comes to."""
        answer = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]["exception"].get("description", answer)
        return answer["result"].get("value")

    def until(self, condition: str) -> Any:
        """Wait until an expression is true in the page; its value. Looked at whenever the page is drawn."""
        script = f"""new Promise((resolve, reject) => {{
            const began = performance.now();
            const look = () => {{
                const found = ({condition});
                if (found) resolve(found);
                else if (performance.now() - began > {_ANSWERS_S * 900}) reject(new Error('in vain: ' + {json.dumps(condition)}));
                else setTimeout(look, 30);
            }};
            look();
        }})"""
        return self.run(script)

    def text(self, selector: str) -> str:
        """What stands in an element, as it is seen."""
        found: str = self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")
        return found

    def press(self, key: str, code: int = 0, text: str = "") -> None:
        """A key, as a person presses it."""
        more = {"windowsVirtualKeyCode": code} if code else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, text=text, **more)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key, **more)

    def click(self, selector: str) -> None:
        """A press in the middle of an element, once it is in view."""
        x, y = self.run(
            f"""(() => {{ const one = document.querySelector({json.dumps(selector)}); one.scrollIntoView({{block: 'center'}});
            const box = one.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }})()"""
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def window(self, width: int, height: int, scale: float = 1) -> None:
        """Of this size."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False
        )

    def prefers(self, **features: str) -> None:
        """What a person prefers: `color_scheme="dark"`, `reduced_motion="reduce"`."""
        listed = [
            {"name": f"prefers-{name.replace('_', '-')}", "value": value} for name, value in features.items()
        ]  # fmt: skip
        self.send("Emulation.setEmulatedMedia", features=listed)

    def picture(self) -> bytes:
        """What is seen, as PNG."""
        return base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"])

    def names(self) -> list[tuple[str, str]]:
        """Role and name of everything that a screen reader is told of."""
        nodes = self.send("Accessibility.getFullAXTree")["nodes"]
        return [
            (one["role"]["value"], one.get("name", {}).get("value", ""))
            for one in nodes
            if not one.get("ignored") and "role" in one
        ]

    def complaints(self) -> list[str]:
        """What the page was refused, or got wrong, since it was opened."""
        self.run("0")
        kinds = ("Log.entryAdded", "Runtime.exceptionThrown")
        return [json.dumps(one["params"]) for one in self.events if one.get("method") in kinds]

    def close(self) -> None:
        """It ends."""
        os.close(self._out)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self._in)


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser for the length of a block."""
    with tempfile.TemporaryDirectory(prefix="capsule-browser-", ignore_cleanup_errors=True) as profile:
        made = Browser(Path(profile))
        try:
            yield made
        finally:
            made.close()
