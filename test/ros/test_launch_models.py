"""World models that launch files refuse before a node starts."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from wm_mpc.model.checkpoint import read_metadata
from wm_mpc.ros import launch_models
from wm_mpc.ros.launch_models import (
    check_model,
    check_model_of,
    shipped_models,
)

pytestmark = pytest.mark.ros
SHIPPED = Path(__file__).resolve().parents[2] / "checkpoints"


def of_task(folder, task):
    """A file with the header of a checkpoint of this task."""
    header = {"__metadata__": {"wm_mpc": json.dumps({"format": 2, "task": task})}}
    text = json.dumps(header).encode()
    path = folder / "model.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    return str(path)


def refused(check, *given):
    with pytest.raises(RuntimeError) as refusal:
        check(*given)
    return str(refusal.value)


@pytest.mark.parametrize("name", [path.stem for path in sorted(SHIPPED.glob("*.safetensors"))])
def test_the_task_of_a_shipped_model_is_what_the_loader_reads(name):
    wanted = read_metadata(SHIPPED / f"{name}.safetensors")["task"]
    assert check_model(name) == check_model(str(SHIPPED / f"{name}.safetensors")) == wanted
    assert name in shipped_models()
    check_model_of(wanted, name)


@pytest.mark.parametrize("model", ["/nope.safetensors", "wal", "", "/"])
def test_a_model_that_is_not_there_is_named_with_what_is_accepted(model):
    said = refused(check_model_of, "wall", model)
    assert f"model is {model!r}; there is no such file" in said
    assert "shipped model: granular, maze, " in said


@pytest.mark.parametrize(
    "content",
    [b"", b"text", b"\xff" * 64, b"\x02" + b"\0" * 7 + b"{}", b"\x02" + b"\0" * 7 + b"[]"],
)
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    assert "is no checkpoint of wm_mpc" in refused(check_model, str(path))


def test_a_task_without_a_shipped_model_says_which_have_one_and_how_to_train(tmp_path, monkeypatch):
    for name in ("maze", "wall"):
        shutil.copy(SHIPPED / f"{name}.safetensors", tmp_path)
    monkeypatch.setattr(launch_models, "_folder", lambda: tmp_path)
    task = "granular"
    said = refused(check_model_of, task, task)
    assert re.match(f"task is '{task}', which has no shipped model .*maze, .*wall", said)
    assert f"ros2 run wm_mpc train --task {task}" in said


def test_a_model_of_another_task_is_refused(tmp_path):
    path = str(tmp_path / "model.safetensors")
    shutil.copy(SHIPPED / "wall.safetensors", path)
    said = refused(check_model_of, "push_t", path)
    assert f"model {path!r} is of task wall, task is push_t" in said


def test_a_model_of_a_robot_that_is_no_simulated_task_is_taken(tmp_path):
    check_model_of("wall", of_task(tmp_path, "my_wall"))


def test_a_task_that_is_not_known_is_for_the_launch_argument_to_refuse():
    check_model_of("no_such_task", "no_such_task")
