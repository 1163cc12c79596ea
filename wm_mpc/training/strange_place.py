"""Measure how wrong a model usually draws the worst place of a picture that has the form of an
object. `control/foreign_check.py` holds for worse ones where the plan leads."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from wm_mpc.control.looking import Looker
from wm_mpc.control.places import squares
from wm_mpc.control.strange_places import strange_places
from wm_mpc.data.episodes import Recording
from wm_mpc.model.familiarity import ENOUGH
from wm_mpc.model.world_model import WorldModel
from wm_mpc.training.augmentation import Augmentation
from wm_mpc.training.everyday import EVERYDAY, LOOKS, usual

_PICTURES = 200  # pictures, each in its own light and in another


@torch.no_grad()
def strange_errors(model: WorldModel, images: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Measure the worst strange place of each picture.

    As while a robot runs, the light is first taken out of a picture, again and again.

    Args:
        model: The model.
        images: uint8 (n, height, width, 3) rgb.
        states: (n, state size), each entry in its unit.

    Returns:
        The sum of the squares of what differs there, (n,); 0 where no place is strange.
    """
    looker, found = Looker(model), []
    parts = model.normalise_state(torch.from_numpy(np.asarray(states, np.float32)))
    for image, state in zip(images, parts, strict=True):
        conditions = looker.as_taken
        for _ in range(LOOKS):
            look = looker.look(image, state, conditions)
            conditions = dataclasses.replace(conditions, light=look.light)
        differs = looker.outside(image, look)
        places = strange_places(looker, look, differs, 0.0)
        found.append(max((squares(differs, place) for place in places), default=0.0))
    return np.array(found)


def usual_strange_place(
    model: WorldModel, recording: Recording, frames: np.ndarray, *, seed: int = 0
) -> float | None:
    """Measure `Familiarity.strange_place`.

    Args:
        model: The model.
        recording: The recorded episodes.
        frames: Numbers of pictures that the model was not trained on; some of them are used.
        seed: Seed of the choice and of the disturbances.

    Returns:
        99 of 100 recorded pictures have no worse place, and 99 of 100 disturbed ones (`EVERYDAY`);
        None if there are too few pictures to say that.
    """
    if len(frames) < ENOUGH:
        return None
    rng = np.random.default_rng([seed, 3])
    some = np.sort(rng.choice(frames, min(_PICTURES, len(frames)), replace=False))
    images, states = np.array(recording.images[some]), recording.states[some]
    everyday = Augmentation(EVERYDAY, model.spec.image.tiles).disturbed(images, rng)
    errors = [strange_errors(model, pictures, states) for pictures in (images, everyday)]
    return max(usual(torch.from_numpy(found)) for found in errors)
