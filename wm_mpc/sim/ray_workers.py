"""Simulators on a Ray cluster, or with Ray on this machine; see `wm_mpc.sim.workers`.

Ray is an optional package. The nodes of a cluster need the dependencies of wm_mpc. They receive
wm_mpc itself from here, so all run the same version.
"""

from __future__ import annotations

import logging
import os
import pickle
import socket
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import wm_mpc
from wm_mpc.sim.worker_process import ONE_THREAD, Failure
from wm_mpc.sim.workers import Workers, WorkersError

_PATIENCE = 10.0  # s; longest wait for an answer
_LOCAL_MEMORY = 200_000_000  # bytes for results in transit
_ATTEMPTS = 3  # a cluster sometimes fails to start the server process of a new client


class RayWorkers(Workers):
    """Every core of a Ray cluster.

    If this process has a Ray connection already, it is used as it is.

    Args:
        address: `ray` starts Ray on this machine; it listens to this machine only, and ends with
            this process. `auto` or host:port joins the cluster of this machine. ray://host:10001
            joins a remote one.

    Attributes:
        count: Number of cores when the connection was made.

    Raises:
        WorkersError: Ray is not installed, or does not answer.
    """

    def __init__(self, address: str = "ray") -> None:

        self._ray = ray = _import_ray(address)
        self._is_ours = not ray.is_initialized()
        if self._is_ours:
            _connect(ray, address)
        self.count = max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._task = ray.remote(num_cpus=1)(_perform)

    def _share(self, function: Callable[[Any], Any]) -> Any:
        # Ray passes on a reference in a list, and the worker fetches the object itself.
        return uuid.uuid4().hex, [self._ray.put(pickle.dumps(function))]

    def _start(self, shared: Any, job: Any) -> Any:
        return self._task.remote(*shared, job)

    def _first_done(self, handles: list[Any]) -> int:
        done, _ = self._ray.wait(handles, num_returns=1)
        return handles.index(done[0])

    def _outcome(self, handle: Any) -> Any:
        try:
            return self._ray.get(handle)
        except self._ray.exceptions.RayError as error:  # a worker or node died repeatedly
            return Failure(f"{type(error).__name__}: {error}")

    def _cancel(self, handle: Any) -> None:
        self._ray.cancel(handle)

    def close(self) -> None:
        if self._is_ours:
            self._ray.shutdown()
            self._is_ours = False


def _import_ray(address: str) -> Any:
    if address == "ray":
        # Ray then binds to the loopback interface, which other machines cannot reach.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise WorkersError(
            f"workers {address!r} need Ray, which is not installed; "
            "install it (pip install 'ray[client]') or give a number of local processes"
        ) from None
    return ray


def _connect(ray: Any, address: str) -> None:
    settings: dict[str, Any] = {
        "runtime_env": {"env_vars": ONE_THREAD},
        "log_to_driver": False,
        "logging_level": logging.ERROR,
    }
    if address == "ray":
        settings |= {
            "address": "local",
            "num_cpus": len(os.sched_getaffinity(0)),
            "include_dashboard": False,
            "object_store_memory": _LOCAL_MEMORY,
        }
    else:
        settings["address"] = address
        settings["runtime_env"]["py_modules"] = [str(Path(wm_mpc.__file__).parent)]
    try:
        if ":" in address:  # check first, because Ray itself would try for minutes
            host, port = address.removeprefix("ray://").rsplit(":", 1)
            socket.create_connection((host, int(port)), _PATIENCE).close()
        _init(ray, settings)
    except Exception as error:
        where = "could be started" if address == "ray" else f"answers at {address}"
        # A cluster sends its traceback, too. The reason is below it.
        lines = [line for line in str(error).splitlines() if line and not line.startswith(" ")]
        reason = lines[-1] if lines else type(error).__name__
        hint = "" if address == "ray" else " (does it ask for a token? see RAY_AUTH_MODE)"
        raise WorkersError(f"no Ray {where}: {reason}{hint}") from error
    if address == "ray" and not ray.util.get_node_ip_address().startswith("127."):
        ray.shutdown()
        raise WorkersError(
            "Ray was imported before and would listen to other machines; set "
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 before importing it"
        )


def _init(ray: Any, settings: dict[str, Any]) -> None:
    """Connect; raises the error of the last attempt."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            ray.init(**settings)
            return
        except ConnectionAbortedError:
            if attempt == _ATTEMPTS:
                raise


_kept: dict[str, Callable[[Any], Any]] = {}


def _perform(key: str, function: list[Any], job: Any) -> Any:
    """Do a job in a worker. `function` holds a reference to the pickled function named `key`."""
    import ray

    try:
        if key not in _kept:
            _kept.clear()
            _kept[key] = pickle.loads(ray.get(function[0]))
        return _kept[key](job)
    except Exception as error:
        return Failure.of(error)
