"""Run the tests: `make test` calls this, and `make test-all` with `--all`.

Without `--all`, those marked `slow` are left out.

1. All but those marked `timing`. Live tests mostly wait, so more run at once than there are cores.
   The tests of a file stay together, for what they share; the longest files come first
   (test/conftest.py).
2. At the same time, those of the distribution ros2_pip. They have a run of their own, because
   their folder would hide the package of that name. Their output comes when both have ended.
3. Then alone: those marked `timing`, which judge milliseconds or draw in a browser.

The exit code is 1 if any part failed. After an interrupt, which all parts get, it is 130.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MORE = 2  # tests that run at once, beyond the number of cores
ROS2_PIP = ["-c", "ros2_pip/pyproject.toml", "--rootdir", "ros2_pip", "ros2_pip/test"]


def main(words: list[str] | None = None) -> int:
    """Run the three parts.

    Args:
        words: command-line options; None: those of the process.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(
        description="Run the tests: all, or all except the slow ones.", allow_abbrev=False
    )
    parser.add_argument("--all", action="store_true", help="also run the tests marked slow")
    is_whole = parser.parse_args(words).all
    but = "" if is_whole else " and not slow"
    environment = dict(os.environ)
    # What Python and pytest compile is kept: otherwise each process would compile all of it.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    # NumPy's library would wait busily for the first 0.1 s of each of a thousand processes.
    environment["OPENBLAS_NUM_THREADS"] = "1"
    # While several tests compute at once, a second thread of one waits for the others.
    together = {**environment, "OMP_NUM_THREADS": "1"}

    interrupts: list[int] = []
    # Not SIG_IGN, which the programs would inherit.
    signal.signal(signal.SIGINT, lambda number, _: interrupts.append(number))
    with tempfile.TemporaryFile("w+") as said:
        beside = subprocess.Popen(
            pytest(*ROS2_PIP), cwd=ROOT, env=environment, stdout=said, stderr=subprocess.STDOUT
        )
        at_once = str(len(os.sched_getaffinity(0)) + MORE)
        parallel = ["-n", at_once, "--dist", "loadfile", "--no-loadscope-reorder"]
        failed = run(together, *parallel, "-m", f"not timing{but}")
        failed |= beside.wait() != 0
        print(f"[test] python -m pytest {' '.join(ROS2_PIP)} (at the same time)", flush=True)
        said.seek(0)
        sys.stdout.write(said.read())
        sys.stdout.flush()
    if not interrupts:
        failed |= run(environment, "-m", f"timing{but}", *files_with_timing())
    if not is_whole:
        print("[test] left out: the tests marked `slow`. `make test-all` runs all.", flush=True)
    return 130 if interrupts else int(failed)


def pytest(*arguments: str) -> list[str]:
    """The command that runs pytest with these arguments."""
    return [sys.executable, "-m", "pytest", *arguments]


def run(environment: dict[str, str], *arguments: str) -> bool:
    """Run pytest and show what it says; return whether it failed."""
    print(f"[test] python -m pytest {' '.join(arguments)}", flush=True)
    return subprocess.Popen(pytest(*arguments), cwd=ROOT, env=environment).wait() != 0


def files_with_timing() -> list[str]:
    """The files with tests marked `timing`: to collect the others would take seconds."""
    files = sorted((ROOT / "test").rglob("test_*.py"))
    return [
        str(file.relative_to(ROOT)) for file in files if "pytest.mark.timing" in file.read_text()
    ]


if __name__ == "__main__":
    sys.exit(main())
