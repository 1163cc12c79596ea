"""What every step of set-up uses: where things are, what is said, and how programs are run."""

import hashlib
import os
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STATE = VENV / "setup"
REQUIREMENTS = ROOT / "tools" / "requirements.txt"
ROS2_PIP = ROOT / "ros2_pip"
TELL_EVERY = 15.0  # s, while a step goes on
BARE = "or open a shell without it: ROS 2 is then installed into .venv."


class SetupError(Exception):
    """What is missing, and what to do next."""


def say(text):
    print(f"[setup] {text}", flush=True)


def check_writable(*paths):
    for path in paths:
        if path.exists() and not os.access(str(path), os.W_OK):
            raise SetupError(
                f"{path} (of user {path.stat().st_uid}) cannot be written to by this user; run "
                "this as its owner, or in a clone of your own."
            )


def digest(paths):
    """Return a hash of the names and contents of `paths`."""
    total = hashlib.sha256()
    for path in paths:
        total.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def run_logged(command, log, environment):
    """Run `command` with its output in a file of STATE; return its exit code and the output.

    While it runs, the newest line of the output is said now and then.
    """
    path, began = STATE / log, time.monotonic()
    with path.open("wb") as output:
        streams = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT}
        command = [str(part) for part in command]
        process = subprocess.Popen(command, cwd=str(ROOT), env=environment, **streams)
        try:
            while process.poll() is None:
                try:
                    process.wait(TELL_EVERY)
                except subprocess.TimeoutExpired:
                    # A warning of pip about something old would look like a failure.
                    lines = path.read_text(errors="replace").splitlines()
                    kept = [line for line in lines if not line.startswith("WARNING")]
                    newest = tail("\n".join(kept), 1).strip() or "no output yet"
                    say(f"  {time.monotonic() - began:.0f} s: {newest[:100]}")
        except BaseException:
            process.kill()
            process.wait()
            raise
    return process.returncode, path.read_text(errors="replace")


def tail(text, lines=20):
    kept = [line for line in text.splitlines() if line.strip()][-lines:]
    return "\n".join(f"    {line}" for line in kept)


def dotted(version):
    return ".".join(map(str, version))
