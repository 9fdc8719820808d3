"""A headless Chromium, driven over its DevTools pipe; and pictures of a report by a command.

``python tests/browser.py report.html FOLDER`` writes ``wide.png`` (1400 pixels), ``phone.png`` (390 pixels), both of the
whole page, ``dark.png`` (1400 pixels, dark) and ``print.pdf``.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE_S = 60.0


class Browser:
    """One Chromium with one page; use as a context manager."""

    def __init__(self) -> None:
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        down_read, self._down = os.pipe()
        self._up, up_write = os.pipe()
        flags = [
            "--headless=new", "--no-sandbox", "--remote-debugging-pipe", "--disable-gpu", "--hide-scrollbars",
            "--disable-background-networking", "--disable-component-update", "--no-first-run", "--disable-sync",
            "--disable-dev-shm-usage", f"--user-data-dir={self._profile.name}",
        ]  # fmt: skip
        script = f'exec "$0" "$@" 3<&{down_read} 4>&{up_write}'
        self._process = subprocess.Popen(
            ["bash", "-c", script, str(CHROMIUM), *flags, "about:blank"],
            pass_fds=(down_read, up_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(down_read)
        os.close(up_write)
        self._buffer = b""
        self._count = 0
        self._session: str | None = None
        self._has_script = True
        self.events: list[dict] = []
        target = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session = None
        try:
            self.call("Browser.close")
            self._process.wait(10)
        except (OSError, TimeoutError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        os.close(self._down)
        os.close(self._up)
        self._profile.cleanup()

    def call(self, method: str, **params: object) -> dict:
        """The answer to one DevTools command; events on the way are kept."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._down, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._count:
                if "error" in answer:
                    msg = f"{method}: {answer['error']}"
                    raise RuntimeError(msg)
                return answer["result"]

    def _next(self) -> dict:
        end = time.monotonic() + PATIENCE_S
        while b"\0" not in self._buffer:
            if not select.select([self._up], [], [], max(0.0, end - time.monotonic()))[0]:
                msg = "the browser does not answer"
                raise TimeoutError(msg)
            part = os.read(self._up, 1 << 20)
            if not part:
                msg = "the browser has gone"
                raise OSError(msg)
            self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\0")
        answer = json.loads(line)
        if "method" in answer:
            self.events.append(answer)
        return answer

    def size(self, width: int, height: int, *, is_dark: bool = False, has_script: bool = True) -> None:
        """Set the window, its colour scheme, and whether scripts run."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Emulation.setScriptExecutionDisabled", value=not has_script)
        self._has_script = has_script

    def open(self, path: Path, *, wait_for: str | None = "!document.getElementById('viewer').hidden") -> None:
        """Load a file and wait until it is drawn."""
        self.events.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        end = time.monotonic() + PATIENCE_S
        while not any(e["method"] == "Page.loadEventFired" for e in self.events):
            if time.monotonic() > end:
                msg = f"{path} does not load"
                raise TimeoutError(msg)
            self._next()
        while wait_for is not None and not self.value(wait_for):
            if time.monotonic() > end:
                msg = f"never true: {wait_for}; {self.complaints()}"
                raise TimeoutError(msg)
            time.sleep(0.05)
        self.settle()

    def value(self, expression: str) -> object:
        """The value of an expression in the page; promises are awaited."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def settle(self) -> None:
        """Wait for two frames, in the second of which all changes are drawn."""
        if not self._has_script:
            return
        self.value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def complaints(self) -> list[str]:
        """Everything the page wrote to the console, exceptions and violations of its policy included."""
        kinds = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        return [json.dumps(e["params"]) for e in self.events if e["method"] in kinds]

    def requests(self) -> list[str]:
        """Every address that the page asked for."""
        return [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]

    def picture(self, path: Path, *, whole: bool = True) -> None:
        """Write what the page shows as PNG."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def whole_height(self) -> int:
        return int(self.value("document.documentElement.scrollHeight"))

    def printed(self, path: Path) -> None:
        """Write the page as the browser prints it."""
        done = self.call("Page.printToPDF", preferCSSPageSize=True, paperWidth=8.27, paperHeight=11.69)
        path.write_bytes(base64.b64decode(done["data"]))


def main(report: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with Browser() as browser:
        for name, width, height, is_dark in (
            ("wide", 1400, 900, False),
            ("phone", 390, 844, False),
            ("dark", 1400, 900, True),
        ):
            browser.size(width, height, is_dark=is_dark)
            browser.open(report)
            browser.picture(folder / f"{name}-first.png", whole=False)
            browser.size(width, browser.whole_height(), is_dark=is_dark)
            browser.settle()
            browser.picture(folder / f"{name}.png")
        browser.size(1400, 900)
        browser.open(report)
        browser.printed(folder / "print.pdf")
        for line in browser.complaints():
            sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
