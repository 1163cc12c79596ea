"""Measure the usual errors of a trained world model; `model/familiarity.py` explains their use.

Every checkpoint contains these numbers, also during training. The part that depends on encoder and
decoder is measured once and kept in a `Gauge`, so an unfinished dynamics costs one prediction.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from wm_mpc.data.episodes import Recording
from wm_mpc.model.familiarity import ENOUGH, Familiarity, image_errors, prediction_error
from wm_mpc.model.lighting import CameraLighting
from wm_mpc.model.world_model import WorldModel
from wm_mpc.training.augmentation import Augmentation
from wm_mpc.training.diagnostics import predict
from wm_mpc.training.everyday import EVERYDAY, LOOKS, usual
from wm_mpc.training.place_weight import place_weight
from wm_mpc.training.replay import encode_all
from wm_mpc.training.strange_place import usual_strange_place

_MOST = 4096  # moments
_MOVED = 0.1  # share of the largest motion in a step; less counts as standing still
# A scene or a robot that never moves gives smaller errors, and then everything would be a surprise.
_LEAST_PREDICTION = 1e-3  # share of the spread of latents
_LEAST_IMAGE = 0.5 / 255  # half a grey level
_PICTURES = 500  # on which the unexplained part is measured, each in its own light and in another
_DISTURBED = 0.9  # share of the disturbed ones that are usual


class Gauge:
    """Held-out moments of a recording, as a model with finished encoder and decoder sees them.

    A moment is a window of the model's history and one model step. The model never changes.

    Attributes:
        moments: Number of moments.
    """

    def __init__(
        self,
        model: WorldModel,
        recording: Recording,
        episodes: np.ndarray,
        *,
        seed: int = 0,
        most: int = _MOST,
        known: Familiarity | None = None,
    ) -> None:
        """Encode the moments.

        Args:
            model: The model.
            recording: The recorded episodes.
            episodes: Positions of episodes on which the model was not trained.
            seed: Seed of the random choice of moments.
            most: Largest number of moments.
            known: Values of a model with the same encoder and decoder, whose `usual_unexplained`
                and `strange_place` count; what it lacks is measured.
        """
        past = model.spec.history
        starts = recording.window_starts(past, episodes)
        rng = np.random.default_rng(seed)
        chosen = np.sort(rng.choice(starts, min(most, len(starts)), replace=False))
        self.moments = len(chosen)
        if not self.moments:
            return
        frames, self._actions = recording.window(chosen, past)
        self._episodes = torch.from_numpy(recording.episode_of[frames[:, -1]])
        flat = frames.reshape(-1)
        latents = encode_all(model, recording.images[flat], recording.states[flat])
        self._latents = latents.view(*frames.shape, -1)
        seen = self._latents[:, -1]
        drawn = [
            image_errors(model, torch.from_numpy(np.array(recording.images[part])), seen[some])
            for some in torch.arange(len(seen)).split(256)
            for part in [frames[some.numpy(), -1]]
        ]
        self._images = tuple(map(usual, torch.cat(drawn).unbind(1)))
        last = frames[:, -1]
        unexplained = () if known is None else known.usual_unexplained
        self._unexplained = unexplained or unexplained_of_cameras(model, recording, last, seed=seed)
        strange = None if known is None else known.strange_place
        self._strange = (
            usual_strange_place(model, recording, last, seed=seed) if strange is None else strange
        )
        self._data = recording.dataset.content_hash()

    @torch.no_grad()
    def measure(self, model: WorldModel, *, checkpoint: str = "") -> Familiarity | None:
        """Measure a model that differs from the first one only in its dynamics and embedding.

        Args:
            model: The model.
            checkpoint: As in `Familiarity`.

        Returns:
            The usual errors; None without moments, or if an error is not finite.
        """
        if not self.moments:
            return None
        past = model.spec.history
        seen = self._latents[:, -1]
        error = prediction_error(
            predict(model, self._latents[:, :past], self._actions)[:, -1], seen
        )
        step = (model.embed(seen) - model.embed(self._latents[:, -2])).square().sum(-1).sqrt()
        moved = step[step > _MOVED * step.max()]
        wrong, covered = usual(error), float(moved.median()) if len(moved) else 0.0
        if not all(map(math.isfinite, (wrong, *self._images, *self._unexplained, covered))):
            return None
        images = tuple(max(image, _LEAST_IMAGE) for image in self._images)
        are_several = len(images) > 1
        return Familiarity(
            prediction=max(wrong, _LEAST_PREDICTION),
            image=max(images),
            step=covered,
            moments=self.moments,
            data=self._data,
            checkpoint=checkpoint,
            unexplained=max(self._unexplained),
            camera_images=images if are_several else (),
            camera_unexplained=self._unexplained if are_several else (),
            place_weight=place_weight(model, seen, self._episodes),
            strange_place=self._strange,
        )


def measure_unexplained(
    model: WorldModel, recording: Recording, frames: np.ndarray, *, seed: int = 0
) -> float:
    """Measure `Familiarity.unexplained`; see `unexplained_of_cameras`.

    Args:
        model: The model.
        recording: The recorded episodes.
        frames: Numbers of pictures that the model was not trained on; some of them are used.
        seed: Seed of the choice and of the disturbances.

    Returns:
        The usual error, above 0; NaN if an error is not finite.
    """
    return max(unexplained_of_cameras(model, recording, frames, seed=seed))


def unexplained_of_cameras(
    model: WorldModel, recording: Recording, frames: np.ndarray, *, seed: int = 0
) -> tuple[float, ...]:
    """Measure `Familiarity.usual_unexplained`.

    99 of 100 recorded pictures stay below it, and 9 of 10 disturbed ones (`EVERYDAY`).

    Args:
        model: As for `measure_unexplained`.
        recording: As for `measure_unexplained`.
        frames: As for `measure_unexplained`.
        seed: As for `measure_unexplained`.

    Returns:
        The usual error of each camera, above 0; NaN if an error is not finite.
    """
    rng = np.random.default_rng([seed, 2])
    some = np.sort(rng.choice(frames, min(_PICTURES, len(frames)), replace=False))
    found = []
    for left in _camera_errors(model, recording, some, seed):
        each = usual(left[: len(some)]), usual(left[len(some) :], _DISTURBED)
        found.append(max(*each, _LEAST_IMAGE) if all(map(math.isfinite, each)) else math.nan)
    return tuple(found)


def unexplained_errors(
    model: WorldModel, recording: Recording, frames: np.ndarray, seed: int
) -> Tensor:
    """Measure what light does not explain, in recorded pictures and in disturbed ones (`EVERYDAY`).

    As while a robot runs, the light is first taken out of a picture, again and again.

    Args:
        model: The model.
        recording: The recorded episodes.
        frames: Numbers of pictures.
        seed: Seed of the disturbances.

    Returns:
        `Lighting.unexplained`, (2 n,): of the pictures as they are, then of the disturbed ones; of
        several cameras, the largest.
    """
    return _camera_errors(model, recording, frames, seed).amax(0)


@torch.no_grad()
def _camera_errors(
    model: WorldModel, recording: Recording, frames: np.ndarray, seed: int
) -> Tensor:
    """`unexplained_errors` of each camera, (cameras, 2 n)."""
    image = model.spec.image
    lighting = CameraLighting(image)
    images = np.array(recording.images[frames])
    everyday = Augmentation(EVERYDAY, image.tiles)
    errors, rng = [], np.random.default_rng([seed, 1])
    for pictures in (images, everyday.disturbed(images, rng)):
        relit = pictures
        for _ in range(LOOKS):
            drawn = _drawn(model, relit, recording.states[frames])
            if not np.isfinite(drawn).all():
                return torch.full((len(image.tiles), 2 * len(frames)), math.nan)
            seen = list(map(lighting.compare, pictures, drawn))
            relit = np.stack(
                [light.removed(one) for (light, _), one in zip(seen, pictures, strict=True)]
            )
        errors += [left for _, left in seen]
    return torch.tensor(errors).T


def _drawn(model: WorldModel, images: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Reconstructions, float32 (n, height, width, 3)."""
    latents = encode_all(model, images, states)
    drawn = [model.decode(part).permute(0, 2, 3, 1) for part in latents.split(256)]
    pictures: np.ndarray = torch.cat(drawn).contiguous().cpu().numpy()
    return pictures


def measure_familiarity(
    model: WorldModel,
    recording: Recording,
    episodes: np.ndarray,
    *,
    seed: int = 0,
    checkpoint: str = "",
) -> Familiarity | None:
    """Measure the usual errors of a model.

    Args:
        model: The model.
        recording: The recorded episodes.
        episodes: Positions of episodes on which the model was not trained.
        seed: Seed of the random choice of moments.
        checkpoint: As in `Familiarity`.

    Returns:
        The usual errors; None if no episode holds the model's history and a step after it.
    """
    return Gauge(model, recording, episodes, seed=seed).measure(model, checkpoint=checkpoint)


def renewed_familiarity(
    tuned: WorldModel, before: WorldModel, recording: Recording, episodes: np.ndarray
) -> Familiarity | None:
    """Measure a model that was trained further on its robot's recording.

    Args:
        tuned: The new model.
        before: The model before.
        recording: The recorded episodes.
        episodes: Positions of the held-out episodes.

    Returns:
        The usual errors on the held-out episodes; those of the model before, if it has any and the
        episodes are too few.
    """
    known = before.familiarity
    same = known is not None and _sees_the_same(tuned, before)
    found = Gauge(tuned, recording, episodes, known=known if same else None).measure(tuned)
    if found is not None and (found.moments >= ENOUGH or before.familiarity is None):
        return found
    return before.familiarity


def _sees_the_same(model: WorldModel, other: WorldModel) -> bool:
    """Whether both models reconstruct every picture in the same way."""
    mine, theirs = model.state_dict(), other.state_dict()
    names = [name for name in mine if name.startswith(("encoder.", "decoder.", "scene_", "state_"))]
    return all(torch.equal(mine[name], theirs[name]) for name in names)
