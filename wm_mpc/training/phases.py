"""The first and the last phase of a training: what each draws, and what it minimises.

A phase draws the batch of an update from a generator given to it, and as a module turns that batch
into loss terms; `trainer.py` does the rest. All hold the same `WorldModel`. The phase between them
is in `temporal.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wm_mpc.data.episodes import Recording
from wm_mpc.model import losses
from wm_mpc.model.world_model import WorldModel
from wm_mpc.synthesis.registry import perturbations
from wm_mpc.training.augmentation import Augmentation
from wm_mpc.training.config import TrainConfig
from wm_mpc.training.replay import Replay

Windows = list[tuple[Tensor, Tensor]]


class RepresentationPhase(nn.Module):
    """Encoder, decoder and dynamics together, from the pixels of short recorded windows."""

    name = "representation"

    def __init__(
        self, model: WorldModel, recording: Recording, config: TrainConfig, episodes: np.ndarray
    ) -> None:
        """episodes: numbers of those to draw from."""
        super().__init__()
        self.model, self.config, self._recording = model, config, recording
        self._steps = model.spec.history + 1
        self._starts = recording.window_starts(self._steps, episodes)
        self._augmentation = Augmentation(config.augmentation)
        # The decoder's background begins as the mean image, but is trained on.
        self._mean_image = mean_image(recording, episodes, config.seed_of_representation)
        model.requires_grad_(False)
        for parameter in self.trained():
            parameter.requires_grad_(True)

    def trained(self) -> list[nn.Parameter]:
        return self.weights_of(self.model)

    @staticmethod
    def weights_of(model: WorldModel) -> list[nn.Parameter]:
        """What this phase trains of a model."""
        parts = (model.encoder, model.decoder, model.dynamics)
        return [weight for part in parts for weight in part.parameters()]

    def batch(self, rng: np.random.Generator) -> tuple[Any, ...]:
        """Images uint8 (batch, steps + 1, height, width, 3), states (batch, steps + 1, state size)
        in their units, action blocks (batch, steps, block size), and the images as the encoder sees
        them: some are disturbed, if the augmentation is on."""
        chosen = rng.choice(self._starts, self.config.representation_batch)
        frames, actions = self._recording.window(chosen, self._steps)
        images = self._recording.images[frames.reshape(-1)].reshape(*frames.shape, *self._size())
        states = torch.from_numpy(self._recording.states[frames])
        seen = self._augmentation.disturbed(images, rng)
        parts = images, states, actions, seen
        return tuple(torch.as_tensor(part) for part in parts)

    def _size(self) -> tuple[int, ...]:
        return self._recording.images.shape[1:]

    def forward(
        self, images: Tensor, states: Tensor, actions: Tensor, seen: Tensor
    ) -> dict[str, Tensor]:
        image = images_to_float(images.flatten(0, 1))
        mean = self._mean_image.to(image.device)
        scene = self.model.encode_scene(images_to_float(seen.flatten(0, 1)))
        weight = losses.moving_pixel_weight(image, mean, self.config.pixel_emphasis)
        state = self.model.normalise_state(states)
        latents = torch.cat([scene.view(*states.shape[:2], -1), state], -1)
        prediction = losses.multi_step(self.model, latents, actions)
        return {
            "reconstruction": 100.0
            * losses.reconstruction(self.model, latents.flatten(0, 1), image, weight),
            "prediction": self.config.prediction_weight * prediction,
        }


class DynamicsPhase(nn.Module):
    """The dynamics alone, on finished latents: of the recording, and of what was synthesised.

    latents: of all recorded frames (frames, latent size). An update sees `dynamics_batch` windows,
    whatever the synthesis: replays that have data share `synthesis_share` of them evenly.
    """

    name = "dynamics"

    def __init__(
        self,
        model: WorldModel,
        recording: Recording,
        config: TrainConfig,
        episodes: np.ndarray,
        latents: Tensor,
        replays: list[Replay],
        precision: str = "32-true",
    ) -> None:
        """precision: see `Compute`."""
        super().__init__()
        self.model, self.config, self._recording = model, config, recording
        self._latents, self._replays = latents, replays
        self._half = precision == "bf16-mixed"
        self._steps = model.spec.history - 1 + config.horizon
        self._starts = recording.window_starts(self._steps, episodes)
        model.requires_grad_(False)
        for parameter in model.dynamics.parameters():
            parameter.requires_grad_(True)

    def trained(self) -> list[nn.Parameter]:
        return self.weights_of(self.model)

    @staticmethod
    def weights_of(model: WorldModel) -> list[nn.Parameter]:
        """What this phase trains of a model."""
        return list(model.dynamics.parameters())

    def batch(self, rng: np.random.Generator) -> tuple[Any, ...]:
        """Windows of equal length together, (latents (n, steps + 1, latent size), actions (n,
        steps, block size)) per length, and the seed of the adversary."""
        replays = [replay for replay in self._replays if replay]
        size, share = self.config.dynamics_batch, self.config.synthesis_share
        each = int(size * share) // len(replays) if replays else 0
        groups = [self._recorded(rng, size - each * len(replays))]
        if each:
            groups += [replay.batch(rng, each, self._steps) for replay in replays]
        return _of_equal_length(groups), int(rng.integers(2**31))

    def _recorded(self, rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor]:
        frames, actions = self._recording.window(rng.choice(self._starts, size), self._steps)
        blocks = torch.from_numpy(actions).to(self._latents.device)
        return self._latents[torch.from_numpy(frames)], blocks

    def forward(self, windows: Windows, seed: int) -> dict[str, Tensor]:
        device = self._latents.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self._half):
            return self._losses(windows, seed)

    def _losses(self, windows: Windows, seed: int) -> dict[str, Tensor]:
        terms = {
            "one_step": losses.pooled(losses.one_step, self.model, windows),
            "multi_step": losses.pooled(losses.multi_step, self.model, windows),
        }
        methods = {n: m for n, m in perturbations().items() if n in self.config.synthesis}
        if methods:
            history = self.model.spec.history
            parts = [losses.transitions(*group, history) for group in windows]
            pairs, blocks = (torch.cat(part) for part in zip(*parts, strict=True))
            generator = torch.Generator().manual_seed(seed)
            for name, method in methods.items():
                config = self.config.method(name)
                moved = method.perturb(self.model, pairs, blocks, config, generator)
                terms[name] = losses.one_step(self.model, *moved)
        return terms


def _of_equal_length(groups: Windows) -> Windows:
    lengths = sorted({actions.shape[1] for _, actions in groups})
    return [
        (
            torch.cat([latents for latents, actions in groups if actions.shape[1] == length]),
            torch.cat([actions for _, actions in groups if actions.shape[1] == length]),
        )
        for length in lengths
    ]


def images_to_float(images: Tensor) -> Tensor:
    """uint8 (batch, height, width, 3) -> float (batch, 3, height, width) in [0, 1]."""
    return images.permute(0, 3, 1, 2).float() / 255.0


def mean_image(recording: Recording, episodes: np.ndarray, seed: int) -> Tensor:
    """Mean of 500 random frames of `episodes`, float (1, 3, height, width) in [0, 1]."""
    frames = np.flatnonzero(np.isin(recording.episode_of, episodes))
    sample = np.sort(np.random.default_rng([seed, 99]).choice(frames, 500))
    return images_to_float(torch.from_numpy(recording.images[sample])).mean(0, keepdim=True)
