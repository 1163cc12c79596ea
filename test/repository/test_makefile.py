"""What the Makefile refuses, because make itself would pass over it in silence."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def make(*words, **environment):
    """What make answers, called from a shell; the tests themselves may run under make."""
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(
        ["make", "-n", *words], cwd=ROOT, env=env | environment, capture_output=True, text=True,
        timeout=60.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sim", "task:=wall"], 'task is no variable of this Makefile; write ARGS="task:=wall"'),
        (["sim", "ARGS=seed:=3", "task:=wall"], 'write ARGS="seed:=3 task:=wall"'),
        (["train", "task=wall"], 'write ARGS="--task wall"'),
        (["collect", "image_size:=9"], 'write ARGS="--image-size 9"'),
        (["setup", "PYTHN=python3.10"], "the environment, write PYTHN=python3.10 make setup"),
        (["train", "wall"], "wall is no target of this Makefile; words for a program go into ARGS"),
    ],
)
def test_a_word_that_make_would_not_use_is_refused_in_one_line(words, said):
    done = make(*words)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_what_the_makefile_documents_is_taken():
    done = make("sim", "ARGS=task:=wall", "PYTHON=python3.11", "ROS=kilted", "PIP_ARGS=-q")
    assert (done.returncode, done.stderr) == (0, "")
    assert "sim.launch.py $more task:=wall" in done.stdout
    assert make("help", task="wall").returncode == 0


def test_variables_of_a_makefile_that_calls_this_one_are_let_be():
    done = make("help", "COLOUR=red", MAKELEVEL="1")
    assert (done.returncode, done.stderr) == (0, "")
