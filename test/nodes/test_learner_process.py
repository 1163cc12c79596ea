"""The training process: whatever it does, it ends with its node and says how it ended."""

from __future__ import annotations

import os
import pathlib
import queue
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from wm_mpc.nodes.learner.process import TrainingProcess

ROOT = pathlib.Path(__file__).parents[2]
FAKE = """
import json, os, subprocess, sys, time
def send(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)
"""


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Start a process with this code in the place of the training; (process, queue of events)."""
    running = []

    def start(code, *arguments, **options):
        (tmp_path / "fake_training.py").write_text(FAKE + textwrap.dedent(code))
        monkeypatch.syspath_prepend(tmp_path)
        events = queue.Queue()
        process = TrainingProcess(arguments, events.put, module="fake_training", **options)
        running.append(process)
        return process, events

    yield start
    for process in running:
        process.kill()


def next_event(events):
    return events.get(timeout=20.0)


def is_alive(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


def wait_until_gone(pid, timeout=15.0):
    deadline = time.monotonic() + timeout
    while is_alive(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there after {timeout} s"
        time.sleep(0.02)


def test_events_arrive_in_order_and_the_final_one_last(start):
    process, events = start("send('started'); send('progress', done=1); send('finished')")
    names = [next_event(events)["event"] for _ in range(3)]
    assert names == ["started", "progress", "finished"]
    wait_until_gone(process.pid)


def test_arguments_and_niceness_reach_the_process(start):
    _, events = start(
        "time.sleep(0.2); send('started', arguments=sys.argv[1:], nice=os.nice(0))",
        "--task=x", nice=3,
    )  # fmt: skip
    event = next_event(events)
    assert event["arguments"] == ["--task=x"]
    assert event["nice"] == min(19, os.nice(0) + 3)


def test_what_is_no_event_is_passed_over(start):
    _, events = start("print('hello'); print('[1]'); print('{}', flush=True); send('finished')")
    assert next_event(events)["event"] == "finished"


@pytest.mark.parametrize(
    ("code", "how"),
    [("sys.exit(3)", "exit code 3"), ("os.kill(os.getpid(), 9)", "SIGKILL"),
     ("os.abort()", "SIGABRT")],
)  # fmt: skip
def test_death_without_a_word_is_a_failure_that_says_how(start, code, how):
    _, events = start(f"send('started'); {code}")
    assert next_event(events)["event"] == "started"
    event = next_event(events)
    assert event["event"] == "failed"
    assert how in event["reason"]


def test_request_to_stop_reaches_it(start):
    process, events = start("send('started'); os.read(0, 1); send('stopped')")
    next_event(events)
    process.ask_to_stop()
    assert next_event(events)["event"] == "stopped"


def test_one_that_does_not_stop_is_ended_by_force_with_its_children(start):
    process, events = start(
        """
        import signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen(["sleep", "1000"])
        send("started", child=child.pid)
        time.sleep(1000)
        """
    )
    child = next_event(events)["child"]
    started = time.monotonic()
    process.end(0.3)
    assert time.monotonic() - started < 10.0  # 0.3 s on an idle machine
    assert next_event(events)["event"] == "stopped"
    wait_until_gone(process.pid)
    wait_until_gone(child)


def test_children_of_one_that_dies_die_with_it(start):
    _, events = start(
        """
        child = subprocess.Popen(["sleep", "1000"])
        send("started", child=child.pid)
        os.kill(os.getpid(), 9)
        """
    )
    child = next_event(events)["child"]
    assert next_event(events)["event"] == "failed"
    wait_until_gone(child)


def test_working_directory_cannot_replace_its_modules(start, tmp_path, monkeypatch):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "json.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(folder)
    _, events = start("send('finished')")
    if sys.version_info >= (3, 11):  # older ones have no such switch
        assert next_event(events)["event"] == "finished"


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["while it imports", "while it trains"])
def test_real_training_ends_when_its_parent_is_killed(moment, tmp_path):
    wait = "time.sleep(0.2)" if moment == "while it imports" else "begun.wait()"
    config = tmp_path / "long.yaml"
    config.write_text("{representation_updates: 1000000, representation_batch: 2, threads: 1}")
    dataset = make_dataset(tmp_path / "data")
    code = f"""
    import sys, threading, time
    from wm_mpc.nodes.learner.process import TrainingProcess
    begun = threading.Event()
    def on_event(event):
        if event["event"] != "started":
            print(event, file=sys.stderr)
            begun.set()
    process = TrainingProcess(
        ["--dataset={dataset}", "--run={tmp_path / "run"}", "--config={config}",
         "--synthesis=none", "--workers=1"],
        on_event,
    )
    {wait}
    print(process.pid, flush=True)
    time.sleep(1000)
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT,
    )  # fmt: skip
    try:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.send_signal(signal.SIGKILL)
        wait_until_gone(pid)
    finally:
        parent.kill()
        parent.communicate()


def make_dataset(path):
    """Two random episodes that nobody simulated."""
    import numpy as np

    from wm_mpc.data.episodes import Dataset, Episode
    from wm_mpc.sim.tasks.wall import Wall

    dataset, rng = Dataset.create(path, Wall.spec), np.random.default_rng(0)
    for number in range(2):
        images = rng.integers(0, 256, (61, 64, 64, 3), np.uint8)
        states = rng.normal(size=(61, 2)).astype(np.float32)
        actions = rng.uniform(-1.0, 1.0, (60, 2)).astype(np.float32)
        dataset.append(number, Episode(images, states, actions))
    return path
