"""One function over many jobs: the same for processes and Ray, and no process is left behind."""

from __future__ import annotations

import functools
import operator
import os
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from wm_mpc.sim.ray_workers import RayWorkers
from wm_mpc.sim.worker_process import ONE_THREAD
from wm_mpc.sim.workers import (
    JobError,
    LocalWorkers,
    WorkersError,
    check_workers,
    kept_simulation,
    make_workers,
)

from ..conftest import mostly_slow

# Not by importing it: it is to be imported by our own module, which sets it up before.
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")
SLEEPERS = """
import sys
from wm_mpc.sim.workers import make_workers

with make_workers(sys.argv[1]) as workers:
    both = 2 * ["[__import__('time').sleep(1), __import__('os').getpid()][1]"]
    print(*workers.map(eval, both), flush=True)
    list(workers.map(eval, 4 * ["__import__('time').sleep(1000)"]))
"""


@pytest.fixture(params=["here", "two_workers", "ray_workers"])
def workers(request):
    if request.param == "here":
        with LocalWorkers(1) as workers:
            yield workers
    else:
        yield request.getfixturevalue(request.param)


def wait_until(condition, what, timeout=20.0):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"timed out waiting for {what}"
        time.sleep(0.01)


def slow(value, seconds):
    """A job for `eval`."""
    return f"[__import__('time').sleep({seconds}), {value}][1]"


def test_results_come_in_the_order_of_the_jobs(workers):
    jobs = [slow(number, 0.1 * (number % 3 == 0)) for number in range(10)]
    assert list(workers.map(eval, jobs)) == list(range(10))


def test_unordered_results_all_come(workers):
    jobs = [slow(number, 0.05 * (number % 3 == 0)) for number in range(10)]
    assert sorted(workers.map(eval, jobs, ordered=False)) == list(range(10))


def test_unordered_results_come_as_they_are_ready(two_workers):
    results = two_workers.map(eval, [slow(1, 2.0), slow(2, 0.0)], ordered=False)
    assert list(results) == [2, 1]


def test_no_jobs_give_no_results(workers):
    assert list(workers.map(eval, [])) == []


def test_jobs_are_taken_as_results_are(workers):
    """However many jobs there are, few of their results are in memory."""
    taken = []

    def jobs():
        for number in range(1000):
            taken.append(number)
            yield str(number)

    results = workers.map(eval, jobs())
    for number in range(5):
        assert next(results) == number
        assert len(taken) <= number + 2 * workers.count
    results.close()


def test_function_may_carry_what_jobs_share(workers):
    shared = functools.partial(operator.getitem, list(range(100)))
    assert list(workers.map(shared, [3, 4, 99])) == [3, 4, 99]


def test_two_calls_may_take_turns(workers):
    one, other = (workers.map(function, range(5)) for function in (operator.neg, float))
    assert list(zip(one, other, strict=True)) == [(-n, float(n)) for n in range(5)]


def test_failed_job_is_named_with_its_error(workers):
    results = workers.map(eval, ["1", "2", "1 / 0", "3"])
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(JobError, match=r"job 2 \('1 / 0'\) failed: ZeroDivisionError: division"):
        next(results)
    assert list(workers.map(eval, ["4", "5"])) == [4, 5]


def test_result_that_cannot_be_sent_is_named(two_workers):
    with pytest.raises(JobError, match=r"job 0 .* failed: .*pickle"):
        list(two_workers.map(eval, ["lambda: 0"]))


def test_job_that_kills_its_process_is_named_and_others_go_on():
    with LocalWorkers(2) as workers:
        with pytest.raises(JobError, match=r"job 1 .* its worker process died \(exit code 7\)"):
            list(workers.map(eval, ["1", "__import__('os')._exit(7)"]))
        assert list(workers.map(eval, ["1", "2", "3"])) == [1, 2, 3]


@pytest.mark.slow
def test_workers_calculate_with_one_thread(workers):
    """Two threads round differently, and there is a worker for every core. Those who run the tests
    may ask for one thread as well, but not of all libraries."""
    torch.set_num_threads(2)
    jobs = ["__import__('torch').get_num_threads()"] * 3
    assert set(workers.map(eval, jobs)) == {1}
    assert torch.get_num_threads() == 2
    if workers.count > 1:
        assert "MKL_NUM_THREADS" not in os.environ
        asked = [f"__import__('os').environ[{name!r}]" for name in ONE_THREAD]
        assert list(workers.map(eval, asked)) == ["1"] * len(ONE_THREAD)


def test_simulation_is_kept():
    assert kept_simulation("wall") is kept_simulation("wall")


def test_ctrl_c_is_left_to_the_parent(two_workers):
    jobs = ["[__import__('os').kill(__import__('os').getpid(), 2), 1][1]"] * 4
    assert list(two_workers.map(eval, jobs)) == [1] * 4


def test_closed_workers_are_gone_and_take_no_jobs():
    with LocalWorkers(2) as workers:
        (process,) = workers.map(eval, ["__import__('os').getpid()"])
        results = workers.map(eval, [slow(0, 1000)] * 2, ordered=False)
        workers.map(eval, ["1"])
    workers.close()
    assert not Path(f"/proc/{process}").exists()
    with pytest.raises((JobError, RuntimeError)):
        list(results)


def descendants(process):
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            parents[int(path.parent.name)] = int(parent)
    found = {process}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {process}


@pytest.mark.parametrize("end", mostly_slow([signal.SIGKILL, signal.SIGINT, signal.SIGTERM]))
@pytest.mark.live
@pytest.mark.parametrize("text", ["2", pytest.param("ray", marks=[needs_ray, pytest.mark.slow])])
def test_workers_end_with_their_parent_however_it_ends(text, end):
    command = [sys.executable, "-c", SLEEPERS, text]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        simulators = {int(process) for process in parent.stdout.readline().split()}
        assert len(simulators) == 2
        family = descendants(parent.pid)
        assert simulators <= family
        if (text, end) == ("ray", signal.SIGKILL):
            family = simulators  # two helpers of Ray's stay for a minute
        parent.send_signal(end)
        parent.wait(20)
    wait_until(lambda: not any(Path(f"/proc/{each}").exists() for each in family), "their end")


def test_ray_listens_to_this_machine_only(ray_workers):
    list(ray_workers.map(eval, ["1"]))
    sockets = set()
    for process in {os.getpid(), *descendants(os.getpid())}:
        for path in Path(f"/proc/{process}/fd").glob("*"):
            try:
                target = os.readlink(path)
            except OSError:
                continue
            if target.startswith("socket:["):
                sockets.add(target[8:-1])
    addresses = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:
                addresses.add(fields[1].split(":")[0][-8:])
    assert addresses == {"0100007F"}


FIRST_SERVER_DIES = """
import os, sys
from pathlib import Path

mark = Path(__file__).with_name("died")
if "--mode=specific-server" in sys.orig_argv and not mark.exists():
    mark.touch()
    os._exit(1)
"""


@needs_ray
@pytest.mark.live
@pytest.mark.slow
def test_cluster_is_used_over_the_network(tmp_path):
    """As with `ray://host:10001`; the cluster is one of this machine, closed to others.

    A cluster at times fails to start the process that serves a new client; here it always does,
    the first time."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "sitecustomize.py").write_text(FIRST_SERVER_DIES)
    environment = {
        **os.environ,
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "disabled",
        "RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S": "10",
    }
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    settings = f"--port=0 --ray-client-server-port={port} --num-cpus=3 --include-dashboard=false"
    head = ["-m", "ray.scripts.scripts", "start", "--head", "--block", *settings.split()]
    use = (
        "from wm_mpc.sim.workers import make_workers\n"
        f"with make_workers('ray://127.0.0.1:{port}') as workers:\n"
        "    print(workers.count, list(workers.map(eval, [str(n) for n in range(5)])))\n"
    )
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(
            [sys.executable, *head],
            env={**environment, "PYTHONPATH": path},
            stdout=log,
            stderr=log,
        ) as cluster,
    ):
        try:
            started = "Ray runtime started"
            wait_until(lambda: started in (tmp_path / "log").read_text(), "the cluster", 60.0)
            result = subprocess.run(
                [sys.executable, "-c", use], env=environment, capture_output=True, text=True
            )
        finally:
            cluster.terminate()
    assert result.stdout == "3 [0, 1, 2, 3, 4]\n", result.stderr
    assert (tmp_path / "died").exists()


@pytest.mark.parametrize(
    "text", ["1", "64", "ray", "auto", "10.0.0.7:6379", "ray://head:10001", "ray://10.0.0.7:10001"]
)
def test_workers_may_be_described_like(text):
    assert check_workers(text) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0", "0 is not above zero"),
        ("-2", "-2 is not above zero"),
        (
            "many",
            "'many' does not name workers; accepted: a number of processes.* ray://host:10001",
        ),
        ("", "accepted"),
        ("ray://head", "accepted"),
        ("http://head:10001", "accepted"),
    ],
)
def test_other_descriptions_are_refused(text, message):
    for function in (check_workers, make_workers):
        with pytest.raises(ValueError, match=message):
            function(text)


def test_count_below_one_is_refused():
    with pytest.raises(ValueError, match="0 is not above zero"):
        LocalWorkers(0)


def test_missing_ray_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(WorkersError, match=r"'ray' need Ray, .*pip install 'ray\[client\]'"):
        make_workers("ray")


@pytest.mark.slow
@needs_ray
def test_cluster_that_does_not_answer_is_named():
    use = "from wm_mpc.sim.workers import make_workers; make_workers('127.0.0.1:1')"
    result = subprocess.run([sys.executable, "-c", use], capture_output=True, text=True)
    assert "WorkersError: no Ray answers at 127.0.0.1:1" in result.stderr


def test_ray_workers_are_as_many_as_cores(ray_workers):
    assert isinstance(ray_workers, RayWorkers)
    assert ray_workers.count == len(os.sched_getaffinity(0))
