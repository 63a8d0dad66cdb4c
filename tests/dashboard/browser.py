"""A real Chromium that is driven over a pipe: pages as a person meets them, and what they show."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.report.reading import CHROMIUM

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--remote-debugging-pipe",
)  # fmt: skip


class Browser:
    """One page of a Chromium; `console` is its output, errors of the policy among it."""

    def __init__(self, profile: Path) -> None:
        self.profile, self.console, self.loaded = profile, list[str](), 0
        self._last, self._session = 0, ""

    def __enter__(self) -> Browser:
        assert CHROMIUM is not None
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()

        def place() -> None:  # Chromium reads the descriptor 3 and writes to 4
            low, high = os.dup2(theirs_in, 100), os.dup2(theirs_out, 101)
            os.dup2(low, 3)
            os.dup2(high, 4)

        words = [CHROMIUM, *FLAGS, f"--user-data-dir={self.profile}", "about:blank"]
        self._process = subprocess.Popen(
            words, preexec_fn=place, close_fds=False, stderr=subprocess.DEVNULL
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._rest = b""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        found = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = found["sessionId"]
        for each in ("Page", "Runtime", "Log"):
            self.send(f"{each}.enable")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._process.terminate()
        self._process.wait(30)
        os.close(self._out)
        os.close(self._in)

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = os.read(self._in, 1 << 16)
            assert part, "Chromium ended"
            self._rest += part
        text, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(text)
        method, params = found.get("method", ""), found.get("params", {})
        if method == "Page.loadEventFired":
            self.loaded += 1
        if method == "Log.entryAdded":
            entry = params["entry"]
            self.console.append(f"{entry['text']} {entry.get('url', '')}:{entry.get('lineNumber')}")
        if method == "Runtime.exceptionThrown":
            self.console.append(str(params["exceptionDetails"]))
        return found

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            found = self._message()
            if found.get("id") == self._last:
                assert "error" not in found, found
                result: dict[str, Any] = found["result"]
                return result

    def open(self, address: str) -> None:
        """Load an address, until its load event."""
        before = self.loaded
        self.send("Page.navigate", url=address)
        while self.loaded == before:
            self._message()

    def until_loaded(self, count: int) -> None:
        """Wait until so many pages have been loaded in all."""
        while self.loaded < count:
            self._message()

    def run(self, script: str) -> Any:
        """Return what an expression or a promise of the page gives."""
        found = self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, condition: str) -> None:
        """Wait until an expression of the page is true."""
        self.run(
            "new Promise((done, failed) => { const end = Date.now() + 30000; const look = () => {"
            f"if ({condition}) done(true); else if (Date.now() > end) failed(new Error("
            f"{json.dumps(condition)})); else setTimeout(look, 20); }}; look(); }})"
        )

    def key(self, name: str) -> None:
        """Press a key on what has the focus."""
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=name)

    def look(self, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """Set the size of the window and the reader's theme."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
            mobile=False,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, path: Path) -> None:
        """Write the whole page as PNG."""
        found = self.send("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def submit(self, form: str, button: str = "") -> None:
        """Send the form that a selector finds, by a button of it, until the answer is loaded."""
        before = self.loaded
        with_button = f"form.querySelector({json.dumps(button)})" if button else ""
        found = f"const form = document.querySelector({json.dumps(form)})"
        self.run(f"{{ {found}; form.requestSubmit({with_button}); }}")
        while self.loaded == before:
            self._message()

    def log_in(self, host: str, code: str) -> None:
        """Log in as a person does."""
        self.open(f"http://{host}/login")
        self.run(f"document.querySelector('[name=code]').value = {json.dumps(code)}")
        self.submit('form[action="/login"]')
