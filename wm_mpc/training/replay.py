"""Synthesised rollouts of a run: encoded, and stored on disk for a resumed run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wm_mpc.atomic import replacing
from wm_mpc.model.world_model import WorldModel
from wm_mpc.synthesis.method import Rollouts


class Replay:
    """Encoded rollouts of one synthesis method, from one or several rounds.

    Args:
        model: The model that encodes.
        directory: Directory of the run.
    """

    def __init__(self, model: WorldModel, directory: Path) -> None:
        self._model, self._directory = model, directory
        self._latents: list[Tensor] = []
        self._actions: list[Tensor] = []

    def add(self, name: str, make: Callable[[], Rollouts]) -> None:
        """Add a round.

        Args:
            name: Name of the round. If the directory has it, it is loaded.
            make: Makes the round otherwise.
        """
        path = self._directory / f"{name}.npz"
        if path.exists():
            with np.load(path, allow_pickle=False) as file:
                rollouts = Rollouts(file["images"], file["states"], file["actions"])
        else:
            rollouts = make()
            with replacing(path) as temporary, open(temporary, "wb") as written:
                np.savez(written, **vars(rollouts))
        count, steps = rollouts.images.shape[:2]
        latents = encode_all(
            self._model,
            rollouts.images.reshape(count * steps, *rollouts.images.shape[2:]),
            rollouts.states.reshape(count * steps, -1),
        )
        self._latents.append(latents.view(count, steps, -1))
        self._actions.append(torch.from_numpy(rollouts.actions).to(latents.device))

    def __bool__(self) -> bool:
        return bool(self._latents)

    def batch(self, rng: np.random.Generator, size: int, steps: int) -> tuple[Tensor, Tensor]:
        """Draw random windows.

        Args:
            rng: Random numbers.
            size: Number of windows.
            steps: Model steps; fewer if the rollouts are shorter.

        Returns:
            Latents (size, steps + 1, latent size), and actions (size, steps, block size).
        """
        if len(self._latents) > 1:
            self._latents = [torch.cat(self._latents)]
            self._actions = [torch.cat(self._actions)]
        (latents,), (actions,) = self._latents, self._actions
        chosen = torch.from_numpy(rng.integers(len(latents), size=size))[:, None]
        steps = min(steps, actions.shape[1])
        first = torch.from_numpy(rng.integers(actions.shape[1] - steps + 1, size=size))[:, None]
        frames = first + torch.arange(steps + 1)
        return latents[chosen, frames], actions[chosen, frames[:, :-1]]


@torch.no_grad()
def encode_all(
    model: WorldModel,
    images: np.ndarray,
    states: np.ndarray,
    progress: Callable[[int, int], None] = lambda *_: None,
    batch: int = 256,
) -> Tensor:
    """Encode frames in batches.

    Args:
        model: The model.
        images: uint8 (frames, height, width, 3).
        states: float32 (frames, state size), in the units of the spec.
        progress: Called with the number of frames done and in all.
        batch: Frames per batch.

    Returns:
        (frames, latent size), on the model's device.
    """
    # One block for all. Small blocks that stay, between large ones that go, would keep the memory
    # of the large ones (10 GB for 400,000 frames).
    device = model.state_mean.device
    latents = torch.empty(len(images), model.latent_size, device=device)
    for first in range(0, len(images), batch):
        chosen = slice(first, first + batch)
        image = torch.from_numpy(np.array(images[chosen])).to(device)
        latents[chosen] = model.encode(image, torch.from_numpy(states[chosen]).to(device))
        progress(min(first + batch, len(images)), len(images))
    return latents
