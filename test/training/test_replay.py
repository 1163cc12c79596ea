"""Encoding of a whole dataset."""

from __future__ import annotations

import numpy as np
import torch

from wm_mpc.model.architecture import Architecture
from wm_mpc.model.world_model import WorldModel
from wm_mpc.sim.tasks import make_task
from wm_mpc.training.replay import encode_all


def small_model():
    return WorldModel(make_task("wall").spec, Architecture(4, 16, 4, hidden=8))


def test_frames_are_encoded_in_their_order():
    model = small_model()
    image = model.spec.image
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (7, image.height, image.width, 3)).astype(np.uint8)
    states = rng.normal(size=(7, model.spec.state.size)).astype(np.float32)
    done = []
    found = encode_all(model, images, states, lambda *part: done.append(part), batch=3)
    with torch.no_grad():
        one_by_one = [
            model.encode(torch.from_numpy(images[i : i + 1]), torch.from_numpy(states[i : i + 1]))
            for i in range(7)
        ]
    torch.testing.assert_close(found, torch.cat(one_by_one))
    assert done == [(3, 7), (6, 7), (7, 7)]
