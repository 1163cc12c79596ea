"""A browser without a window that shows the viewer's page, and the processor time that it takes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from wm_mpc.experiments.success.through_ros import LaunchError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_PATIENCE = 30.0  # s for the page
_TICK = os.sysconf("SC_CLK_TCK")
_SWITCH_ON = """(() => {
  const label = [...document.querySelectorAll("label")].find((each) =>
    each.innerText.trim() === "3-D scene");
  if (!label) return false;
  label.control.click();
  return true;
})()"""


@contextlib.contextmanager
def opened(browser: str, flags: Sequence[str], address: str) -> Iterator[str]:
    """Run a browser that shows a page, for the length of the block.

    Args:
        browser: Its program, of Chromium's family.
        flags: Further arguments.
        address: Of the page.

    Yields:
        Folder of its profile, which names all its processes.

    Raises:
        LaunchError: It ended by itself.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [browser, "--headless=new", "--remote-debugging-port=0", "--window-size=1280,800",
             f"--user-data-dir={profile}", "--no-first-run", "--disable-component-update",
             *(["--no-sandbox"] if os.geteuid() == 0 else []), *flags, address],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield profile
            if process.poll() is not None:
                raise LaunchError(f"{browser} ended with code {process.returncode}")
        finally:
            process.terminate()
            process.wait(15.0)


def show_scene(profile: str) -> None:
    """Switch on the 3-D scene of the page, by the browser's own interface for debugging.

    Args:
        profile: Of the browser, from `opened`.

    Raises:
        LaunchError: The page has no such switch within half a minute.
    """
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError, LookupError, TimeoutError):
            if _evaluated(profile, _SWITCH_ON):
                return
        time.sleep(0.5)
    raise LaunchError("the page has no switch '3-D scene'")


def _evaluated(profile: str, expression: str) -> object:
    """What an expression of JavaScript gives in the page."""
    from websockets.sync.client import connect

    port = Path(profile, "DevToolsActivePort").read_text().split()[0]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=5.0) as answer:
        pages = [each for each in json.load(answer) if each["type"] == "page"]
    request = {"id": 1, "method": "Runtime.evaluate", "params": {"expression": expression}}
    with connect(pages[0]["webSocketDebuggerUrl"], max_size=None) as socket:
        socket.send(json.dumps(request))
        return json.loads(socket.recv(timeout=5.0))["result"]["result"]["value"]


def check(nodes: Mapping[str, int]) -> None:
    """See that all nodes still run.

    Args:
        nodes: Their process numbers by name.

    Raises:
        LaunchError: One does not.
    """
    for name, pid in nodes.items():
        if not Path("/proc", str(pid)).exists():
            raise LaunchError(f"{name} has ended")


def spent(nodes: Mapping[str, int], profile: str | None) -> dict[str, float]:
    """Processor time so far, s.

    Args:
        nodes: Process numbers by name.
        profile: Of the browser, from `opened`; None: without one.

    Returns:
        That of each node, and of the browser's processes by kind.
    """
    found: dict[str, float] = {}
    for name, pid in nodes.items():
        found[name] = _seconds(Path("/proc", str(pid)))
    if profile is None:
        return found
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_text(errors="replace")
        except OSError:
            continue  # it has just ended
        if f"--user-data-dir={profile}" in words:
            kind = re.search(r"--type=([\w-]+)", words)
            service = re.search(r"--utility-sub-type=(\w+)", words)
            name = f"browser {service[1] if service else kind[1] if kind else 'main'}"
            found[name] = found.get(name, 0.0) + _seconds(process)
    return found


def _seconds(process: Path) -> float:
    try:
        fields = (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICK
