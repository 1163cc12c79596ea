"""Only one writes into a dataset at a time; whoever dies lets go of it."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys

import numpy as np
import pytest

from wm_mpc.cli import import_bag, train
from wm_mpc.data.dataset_lock import writing
from wm_mpc.data.episodes import Dataset, DatasetError, Episode
from wm_mpc.data.import_journal import whole_import
from wm_mpc.sim.collection import collect
from wm_mpc.sim.tasks.wall import Wall
from wm_mpc.sim.workers import LocalWorkers

HOLDER = """
import sys
from wm_mpc.data.dataset_lock import writing
with writing(sys.argv[1], "import_bag"):
    print("held", flush=True)
    sys.stdin.read()
"""


class Holder:
    """Another process that writes into the dataset."""

    def __init__(self, path):
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self):
        assert self.process.stdout.readline() == "held\n"
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


def episode():
    return Episode(
        np.zeros((3, 64, 64, 3), np.uint8), np.zeros((3, 2), np.float32),
        np.zeros((2, 2), np.float32),
    )  # fmt: skip


def test_a_second_writer_is_refused_and_told_of_the_first(tmp_path):
    with Holder(tmp_path / "d") as holder:
        said = f"import_bag, process {holder.process.pid} on {socket.gethostname()}"
        with pytest.raises(DatasetError, match=re.escape(f"is being written by {said}")):
            writing(tmp_path / "d", "collect").__enter__()
    with writing(tmp_path / "d", "collect"):  # the kernel let go of it with the process
        pass
    assert list((tmp_path / "d").iterdir()) == []


def test_a_writer_excludes_another_of_its_own_process(tmp_path):
    with (
        writing(tmp_path, "learner"),
        pytest.raises(DatasetError, match=f"learner, process {os.getpid()}"),
        writing(tmp_path, "collect"),
    ):
        pass


def test_nothing_is_left_but_what_was_written(tmp_path):
    with writing(tmp_path / "a" / "b", "collect"):
        (tmp_path / "a" / "kept").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "kept"]


def test_collecting_into_a_dataset_that_is_being_written_is_refused(tmp_path):
    dataset = Dataset.create(tmp_path, Wall.spec)
    with Holder(tmp_path), pytest.raises(DatasetError, match="is being written by import_bag"):
        collect(dataset, episodes=1, steps=2, seed=0, workers=LocalWorkers(1))
    assert len(dataset) == 0


@pytest.mark.parametrize("append", [[], ["--append"]])
def test_an_import_leaves_one_that_is_under_way_alone(bags, tmp_path, capsys, append):
    """Its episodes look as those of an import that was killed."""
    dataset = Dataset.create(tmp_path / "d", Wall.spec)
    under_way = whole_import(dataset)
    under_way.__enter__()
    dataset.append(0, episode())
    bag = bags.write_bag(tmp_path / "bag", [("/a", 1.0, bags.Make().twist())])
    with Holder(tmp_path / "d"):
        assert import_bag.main([str(bag), "--dataset", str(tmp_path / "d"), *append]) == 1
    assert "is being written by import_bag, process" in capsys.readouterr().err
    dataset.append(1, episode())
    under_way.__exit__(None, None, None)
    lines = (tmp_path / "d" / "index.jsonl").read_text().splitlines()
    assert dataset.indices() == [json.loads(line)["episode"] for line in lines] == [0, 1]


def test_a_run_that_is_being_trained_is_not_trained_a_second_time(tmp_path, capsys):
    dataset = Dataset.create(tmp_path / "d", Wall.spec)
    dataset.append(0, episode())
    options = [f"--dataset={dataset.path}", f"--run={tmp_path / 'run'}", "--workers=1"]
    with Holder(tmp_path / "run"):
        assert train.main(options) == 1
    assert "/run is being written by import_bag, process" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["writing.lock"]
