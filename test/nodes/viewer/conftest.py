"""A simulation, its controller and the viewer, by the real launch file; and a real browser."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ...conftest import Observer, free_domain, wait_until

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# A browser without a graphics card draws in software.
_ARGUMENTS = ["--no-sandbox", "--enable-unsafe-swiftshader", "--use-angle=swiftshader"]


class Launched:
    """`ros2 launch` with these arguments in a folder, and what it prints. Close it."""

    def __init__(self, domain_id: int, folder: Path, *arguments: str) -> None:
        self.lines: list[str] = []
        launcher = Path(sys.executable).with_name("ros2")
        self._process = subprocess.Popen(
            [str(launcher), "launch", "wm_mpc", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            env=os.environ | {"ROS_DOMAIN_ID": str(domain_id), "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip())

    def line(self, pattern: str, timeout: float = 60.0) -> re.Match[str]:
        """The first line that a pattern is found in."""

        def found() -> re.Match[str] | None:
            return next(filter(None, (re.search(pattern, line) for line in list(self.lines))), None)

        try:
            return wait_until(found, f"a line with {pattern!r}", timeout)
        except BaseException:
            print("\n".join(self.lines[-40:]))
            raise

    def pid(self, node: str) -> int:
        return int(self.line(rf"\[{node}-\d+\]: process started with pid \[(\d+)\]")[1])

    def runs(self) -> bool:
        return self._process.poll() is None

    def interrupt(self) -> None:
        """Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def wait(self, timeout: float) -> int:
        """The exit code. timeout: s."""
        code = self._process.wait(timeout)
        self._reader.join(5.0)
        return code

    def close(self) -> None:
        """Ctrl-C, if it still runs."""
        if self.runs():
            self.interrupt()
            try:
                self.wait(20.0)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                raise


@pytest.fixture(scope="module")
def module_domain() -> Iterator[int]:
    yield from free_domain()


@pytest.fixture(scope="module")
def looker(module_domain: int) -> Iterator[Observer]:
    """A node that looks on from outside."""
    with contextlib.closing(Observer(module_domain)) as observer:
        yield observer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In which the nodes run."""
    return tmp_path_factory.mktemp("viewer")


@pytest.fixture(scope="module")
def launched(module_domain: int, folder: Path) -> Iterator[Launched]:
    """The task `wall` with the viewer. The controller may be killed without ending the rest."""
    running = Launched(
        module_domain, folder, "sim.launch.py", "task:=wall", "viewer:=true", "required:=false"
    )
    try:
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def address(launched: Launched) -> str:
    return launched.line(r"viewer: open (http://\S+) in a browser")[1]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium, or another, without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    found = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if found is None:
        pytest.skip(f"no browser is found: {', '.join(_CHROMIUM)}")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=found, args=_ARGUMENTS)
        opened.new_page().close()  # it is warm now
        yield opened
        opened.close()


class Tab:
    """A page of the browser, and what its console says.

    sharpness: pixels drawn for one of the screen, each way. A processor draws a quarter sixteen
    times as cheaply as 1.0, which people see.
    """

    def __init__(
        self,
        browser: Any,
        address: str,
        width: int = 1280,
        height: int = 800,
        sharpness: float = 0.25,
    ) -> None:
        self._context = browser.new_context(viewport={"width": width, "height": height})
        self.page = self._context.new_page()
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._on_console)
        self.page.on("requestfailed", lambda request: self._note(request.url))
        began = time.monotonic()
        self.page.goto(f"{address}/?fixedDpr={sharpness}" if sharpness < 1.0 else address)
        self.page.locator(".wm-word").wait_for(timeout=30000)
        self.seconds = time.monotonic() - began

    def _on_console(self, message: Any) -> None:
        if message.type == "error":
            self._note(f"{message.text} {message.location.get('url', '')}")

    def _note(self, error: str) -> None:
        # A picture that was replaced before a slow browser had read it.
        if "blob:" not in error:
            self.errors.append(error)

    def until(self, condition: Any, what: str, timeout: float = 30.0) -> Any:
        """As `wait_until`, with time for the browser's events."""
        deadline = time.monotonic() + timeout
        while not (value := condition()):
            if time.monotonic() > deadline:
                pytest.fail(f"timed out after {timeout} s waiting for {what}: {self.state()}")
            self.page.wait_for_timeout(50)
        return value

    def state(self) -> str:
        """What the card of the state says."""
        return str(self.page.locator(".wm-card").first.inner_text())

    def code(self) -> str:
        return str(self.page.locator(".wm-card").first.get_attribute("data-code"))

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def show(self, tab: str) -> None:
        self.page.get_by_role("tab", name=tab).click()

    def box(self, parameter: str) -> Any:
        """The box of a parameter, into which a value is typed."""
        row = f'xpath=//label[.="{parameter}"]/ancestor::div[contains(@class,"Flex")][1]'
        return self.page.locator(row).locator("input:not([type=hidden])").last

    def enter(self, parameter: str, value: str) -> None:
        box = self.box(parameter)
        box.fill(value)
        box.press("Enter")
        box.blur()

    def close(self) -> None:
        self._context.close()


@pytest.fixture(scope="module")
def tab(browser: Any, address: str) -> Iterator[Tab]:
    with contextlib.closing(Tab(browser, address)) as opened:
        yield opened
