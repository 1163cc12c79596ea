"""tools/run_tests.py: which parts run, when, and what becomes of a failure or an interrupt."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tools" / "run_tests.py"
PARTS = ("not timing and not slow", "ros2_pip/test", "timing and not slow")
ALL = ("not timing", "ros2_pip/test", "timing")
# In place of pytest: says what it was asked, waits, and ends with the code for that part.
PART = """
import json, os, sys, time
name = next(name for name in {plan} if name in sys.argv)
code, pause = {plan}[name]
print("summary of", name, flush=True)
began = time.time()
try:
    time.sleep(pause)
except KeyboardInterrupt:
    code = 2
line = [name, began, time.time(), code, os.environ.get("OMP_NUM_THREADS"), sys.argv[1:]]
with open({log!r}, "a") as file:
    print(json.dumps(line), file=file)
sys.exit(code)
"""


@pytest.fixture
def start(tmp_path):
    """Starts the script with stand-ins for pytest: (exit code, seconds) by part."""

    def start(*options, main=(0, 0.0), ros2_pip=(0, 0.0), timing=(0, 0.0)):
        plans = (main, ros2_pip, timing)
        plan = dict(zip(PARTS, plans, strict=True)) | dict(zip(ALL, plans, strict=True))
        part = tmp_path / "part.py"
        part.write_text(PART.format(plan=plan, log=str(tmp_path / "log")))
        code = textwrap.dedent(f"""
            import runpy, sys
            names = runpy.run_path({str(SCRIPT)!r})
            main = names["main"]
            command = lambda *words: [sys.executable, {str(part)!r}, *words]
            main.__globals__["pytest"] = command
            sys.exit(main({list(options)}))
        """)
        return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)

    return start


def ran(tmp_path):
    """What ran, in the order of the ends."""
    lines = (tmp_path / "log").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_two_parts_run_at_once_and_the_third_alone(start, tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)  # the main part itself has set it
    process = start(main=(0, 1.0), ros2_pip=(0, 1.5), timing=(0, 0.1))
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    main, beside, alone = ran(tmp_path)
    assert [main[0], beside[0], alone[0]] == list(PARTS)
    assert main[1] < beside[2]
    assert beside[1] < main[2]
    assert alone[1] >= max(main[2], beside[2])
    assert [main[4], beside[4], alone[4]] == ["1", None, None]
    assert [line for line in said.splitlines() if line.startswith("summary")] == [
        f"summary of {name}" for name in PARTS
    ]


@pytest.mark.parametrize("is_whole", [False, True])
def test_slow_tests_run_only_when_asked_for_and_their_absence_is_said(start, tmp_path, is_whole):
    process = start(*(["--all"] if is_whole else []))
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    names = {line[0] for line in ran(tmp_path)}
    assert names == set(ALL if is_whole else PARTS)
    last = said.splitlines()[-1]
    assert ("make test-all" in last) != is_whole


@pytest.mark.parametrize("failing", ["main", "ros2_pip", "timing"])
def test_a_part_that_fails_stops_no_other_and_is_not_forgotten(start, tmp_path, failing):
    process = start(**{failing: (5, 0.0)})
    process.communicate(timeout=60)
    assert process.returncode == 1
    assert sorted(line[0] for line in ran(tmp_path)) == sorted(PARTS)


def test_an_interrupt_ends_the_parts_that_run_and_begins_no_other(start, tmp_path):
    process = start(main=(0, 60.0), ros2_pip=(0, 60.0))
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 30
    while len(pids := children.read_text().split()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.5)  # they sleep by then
    for pid in (process.pid, *map(int, pids)):  # as a terminal does
        os.kill(pid, signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert {line[0]: line[3] for line in ran(tmp_path)} == {
        PARTS[0]: 2, PARTS[1]: 2,
    }  # fmt: skip


def test_every_file_with_a_test_that_runs_alone_is_found():
    spec = importlib.util.spec_from_file_location("run_tests", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    files = module.files_with_timing()
    assert "test/nodes/test_mpc.py" in files
    assert "test/nodes/test_learner.py" not in files
    assert all((ROOT / file).is_file() for file in files)
