"""Recordings of a robot that is only drawn: small, and as odd as a test wants them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wm_mpc.data.episodes import Dataset, Episode, Recording
from wm_mpc.spec import ActionSpec, ImageSpec, RobotSpec, StateSpec
from wm_mpc.training import calibration, strange_place


def draw(yaw, height=24, width=24):
    """A picture of a hand that points to a yaw (rad)."""
    rows, columns = np.mgrid[0:height, 0:width]
    x, y = (columns + 0.5) / width * 2 - 1, (rows + 0.5) / height * 2 - 1
    spot = np.exp(-12 * ((x - 0.6 * math.cos(yaw)) ** 2 + (y - 0.6 * math.sin(yaw)) ** 2))
    return np.repeat((40 + 200 * spot).astype(np.uint8)[..., None], 3, 2)


class Turner:
    """A base that turns on the spot: action wz, state yaw (wrapped), and whatever is changed."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(
        self, *, episodes=6, steps=40, size=(24, 24), picture=draw, action=None, state=None,
        names=("yaw",), unit=("rad",), angles=(), late=0, seed=0,
    ):  # fmt: skip
        """picture: of a yaw; action: of a random generator -> wz; state: of a yaw -> a row; late:
        the base executes each action so many control steps later."""
        spec = RobotSpec(
            "turner",
            ActionSpec(("wz",), "velocity", "rad/s", (-2.0,), (2.0,)),
            StateSpec(names, unit, "odom", angles),
            ImageSpec(*size),
            control_period=0.1,
            frame_skip=2,
        )
        path = self.folder / f"{len(list(self.folder.iterdir()))}"
        dataset, rng = Dataset.create(path, spec), np.random.default_rng(seed)
        for number in range(episodes):
            yaw, wz, yaws, actions = rng.uniform(2.6, 3.6), 0.0, [], []
            for step in range(steps + 1):
                yaws.append(yaw)
                if step % 4 == 0:
                    wz = rng.uniform(-2, 2) if action is None else action(rng)
                actions.append([wz])
                yaw += 0.1 * actions[step - late][0] if step >= late else 0.0
            wrapped = [math.remainder(yaw, 2 * math.pi) for yaw in yaws]
            rows = [[yaw] if state is None else state(yaw) for yaw in wrapped]
            pictures = np.stack([picture(yaw, *size) for yaw in wrapped])
            dataset.append(
                number,
                Episode(
                    images=pictures, states=np.float32(rows).reshape(len(rows), -1),
                    actions=np.float32(actions[:-1]),
                ),
            )  # fmt: skip
        return Recording(dataset)


@pytest.fixture
def turner(tmp_path):
    (tmp_path / "recordings").mkdir()
    return Turner(tmp_path / "recordings")


@pytest.fixture
def few_pictures(monkeypatch):
    """What light does not explain is measured on few pictures, as it is not what the test is about:
    on all, it takes longer than a tiny training."""
    monkeypatch.setattr(calibration, "_PICTURES", 8)
    monkeypatch.setattr(strange_place, "_PICTURES", 8)
