"""A training that runs out of disk: it says so, keeps what it has, and goes on when there is room.

There is no small disk at hand without being root, so the process is not allowed files above a size:
to a program, its writes then fail just as on a full disk (EFBIG in place of ENOSPC).
"""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from pathlib import Path

from wm_mpc.data.episodes import Dataset
from wm_mpc.model.checkpoint import CheckpointError, load_checkpoint
from wm_mpc.sim.collection import collect
from wm_mpc.sim.tasks import make_task
from wm_mpc.sim.workers import LocalWorkers

_ROOM = 200_000  # bytes a file may have: less than any checkpoint of this training
_TINY = """
horizon: 2
representation_updates: 3
representation_batch: 2
embedding_updates: 3
proposals_updates: 3
dynamics_updates: 20
dynamics_batch: 4
checkpoint_interval: 0.1
threads: 1
synthesis: []
architecture: {keypoints: 4, encoder_width: 4, decoder_width: 4, hidden: 64}
"""


def train_on_a_full_disk(folder: Path) -> tuple[str, list[str]]:
    """What happened, and what of it must not. folder: made, for data and results."""
    folder.mkdir(parents=True)
    (folder / "train.yaml").write_text(_TINY)
    data, run = folder / "data", folder / "run"
    task = make_task("wall")
    dataset = Dataset.create(data, task.spec, {"pose_names": task.pose_names})
    collect(dataset, episodes=3, steps=20, seed=0, workers=LocalWorkers(1))
    arguments = ("train", f"--dataset={data}", f"--run={run}", f"--config={folder / 'train.yaml'}")
    failed = _run(*arguments, room=_ROOM)
    words = failed.stderr.strip().splitlines() or [""]
    last, failures = words[-1][-200:], []
    if failed.returncode == 0:
        failures.append("training did not notice that its files could not be written")
    if failed.returncode < 0 or "Traceback" in failed.stderr:
        failures.append(f"it crashed: {last}")
    halves = [path.name for path in run.rglob("*.safetensors") if not _is_whole(path)]
    if halves:
        failures.append(f"half a checkpoint was left: {halves}")
    again = _run(*arguments)
    if again.returncode or not _is_whole(run / "wall.safetensors"):
        failures.append(f"it does not go on when there is room: {again.stderr[-300:]}")
    return f"ended with code {failed.returncode}: {last}; then finished when run again", failures


def _is_whole(path: Path) -> bool:
    try:
        load_checkpoint(path)
    except CheckpointError:
        return False
    return True


def _run(
    program: str, *arguments: str, room: int | None = None
) -> subprocess.CompletedProcess[str]:
    def limit() -> None:
        if room is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write fails instead
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    return subprocess.run(
        [sys.executable, "-m", f"wm_mpc.cli.{program}", *arguments],
        capture_output=True, text=True, preexec_fn=limit,
    )  # fmt: skip
