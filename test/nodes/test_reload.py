"""A reload belongs to the configuration in which it was asked for."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("rclpy")

from types import SimpleNamespace

from wm_mpc.model.checkpoint import CheckpointError
from wm_mpc.nodes.mpc.reload import Reloader


class Node:
    """As much of a node as a `Reloader` needs."""

    executor = None

    def __init__(self):
        self.said: list[str] = []

    def create_subscription(self, *_, **__):
        return None

    def get_logger(self):
        return SimpleNamespace(info=self.said.append, warning=self.said.append)


class Parameters:
    """Of a node; `checkpoint` names a shipped one."""

    def __init__(self, auto_reload=False):
        self._values = SimpleNamespace(auto_reload=auto_reload, checkpoint="wall")

    def values(self):
        return self._values

    def on_change(self, _):
        return None


class Loading:
    """Loads when the test says so, and exchanges as the node does."""

    def __init__(self, **options):
        self.go, self.begun = threading.Event(), threading.Semaphore(0)
        self.exchanged: list[object] = []
        self.reloader = Reloader(Node(), Parameters(**options), self.load, self.exchange)  # type: ignore[arg-type]

    def load(self, path, _):
        self.begun.release()
        assert self.go.wait(10.0)
        return path

    def exchange(self, path, model, configuration):
        if configuration != self.reloader.configuration:
            raise CheckpointError("configured again")
        self.exchanged.append(model)

    def end(self):
        self.reloader._thread.shutdown(wait=True)


def test_a_reload_of_the_same_configuration_is_exchanged():
    loading = Loading()
    loading.go.set()
    loading.reloader.reload()
    loading.end()
    assert [path.name for path in loading.exchanged] == ["wall.safetensors"]  # type: ignore[attr-defined]


def test_a_reload_that_loads_while_the_node_is_configured_again_is_dropped():
    loading = Loading()
    future = loading.reloader.reload()
    assert loading.begun.acquire(timeout=10.0)
    loading.reloader.follow(again=True)  # as the end of configuring
    loading.go.set()
    loading.end()
    assert loading.exchanged == []
    assert future.result() == (False, "kept the old world model: configured again")


def test_an_announcement_counts_again_for_the_new_configuration(tmp_path):
    path = tmp_path / "new.safetensors"
    path.touch()
    loading = Loading(auto_reload=True)
    loading.reloader._on_announced(SimpleNamespace(data=str(path)))  # type: ignore[arg-type]
    loading.reloader._on_announced(SimpleNamespace(data=str(path)))  # type: ignore[arg-type]
    assert loading.begun.acquire(timeout=10.0)
    loading.reloader.follow(again=True)
    loading.go.set()
    loading.end()
    assert loading.exchanged == [path]
