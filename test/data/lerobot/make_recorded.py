"""Makes the datasets in `recorded/` with the real `lerobot`, whose Python is 3.10 or later:

python -m venv env && env/bin/pip install lerobot==0.3.2 torch==2.13.0 av==15.1.0    (layout v2.1)
python -m venv env && env/bin/pip install lerobot==0.4.3                             (layout v3.0)
env/bin/python test/data/lerobot/make_recorded.py image out/v21_image
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import numpy as np

LENGTHS = (12, 8, 10)
FPS = 10
CAMERA = "observation.images.front"


def frame(episode: int, k: int) -> np.ndarray:
    """A picture whose right half names the frame, and whose left half names the episode."""
    image = np.full((32, 32, 3), 18 * k + 20, np.uint8)
    image[:, :16] = 60 * episode + 30
    return image


def actions(episode: int) -> np.ndarray:
    """The actions of an episode, float32 (frames, 2)."""
    rng = np.random.default_rng(episode)
    return rng.uniform(-1, 1, (LENGTHS[episode], 2)).astype(np.float32)


def states(episode: int) -> np.ndarray:
    """Where these velocities lead, float32 (frames, 2)."""
    moves = np.cumsum(actions(episode)[:-1], 0) / FPS
    return np.concatenate([np.zeros((1, 2)), moves]).astype(np.float32)


def main(kind: str, path: Path) -> None:
    """Write the dataset.

    Args:
        kind: "image" or "video".
        path: The folder.
    """
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    features = {
        "observation.state": {"dtype": "float32", "shape": (2,), "names": ["x", "y"]},
        "action": {"dtype": "float32", "shape": (2,), "names": ["vx", "vy"]},
        CAMERA: {"dtype": kind, "shape": (32, 32, 3), "names": ["height", "width", "channels"]},
    }
    dataset = LeRobotDataset.create("a/b", FPS, features, root=path, use_videos=kind == "video")
    task_apart = "task" in inspect.signature(dataset.add_frame).parameters
    for episode, count in enumerate(LENGTHS):
        task = "push" if episode < 2 else "pull"
        for k in range(count):
            row = {
                "observation.state": states(episode)[k],
                "action": actions(episode)[k],
                CAMERA: frame(episode, k),
            }
            if task_apart:
                dataset.add_frame(row, task=task)
            else:
                dataset.add_frame(row | {"task": task})
        dataset.save_episode()
    if hasattr(dataset, "finalize"):
        dataset.finalize()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
