"""The phase `dynamics`: the dynamics alone, on finished latents, with data synthesis."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wm_mpc.model import losses
from wm_mpc.model.world_model import WorldModel
from wm_mpc.synthesis.registry import perturbations
from wm_mpc.training.phases.phase import Phase, PhaseInputs

Windows = list[tuple[Tensor, Tensor]]


class DynamicsPhase(Phase):
    """Trains on windows of the recording and of what was synthesised. See `Phase`.

    An update sees `dynamics_batch` windows, whatever the synthesis. Replays that have data share
    `synthesis_share` of them evenly.
    """

    name = "dynamics"
    stream = 3

    def __init__(self, inputs: PhaseInputs) -> None:
        super().__init__(inputs)
        self._recording, self._config = inputs.recording, inputs.config
        self._latents, self._replays = inputs.finished_latents(), inputs.replays
        self._half = inputs.precision == "bf16-mixed"
        self._steps = self.model.spec.history - 1 + self._config.horizon
        self._starts = self._recording.window_starts(self._steps, inputs.episodes)

    @staticmethod
    def weights_of(model: WorldModel) -> list[nn.Parameter]:
        """See `Phase`."""
        return list(model.dynamics.parameters())

    def batch(self, rng: np.random.Generator) -> tuple[Any, ...]:
        """Draw windows.

        Args:
            rng: Random numbers.

        Returns:
            Windows of equal length together: latents (n, steps + 1, latent size) and action blocks
            (n, steps, block size) for each length; and the seed of the perturbations.
        """
        replays = [replay for replay in self._replays if replay]
        size, share = self._config.dynamics_batch, self._config.synthesis_share
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
        """Return the loss terms of a batch; see `batch`.

        Args:
            windows: Windows by length.
            seed: Seed of the perturbations.
        """
        device = self._latents.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self._half):
            return self._losses(windows, seed)

    def _losses(self, windows: Windows, seed: int) -> dict[str, Tensor]:
        terms = {
            "one_step": losses.pooled(losses.one_step, self.model, windows),
            "multi_step": losses.pooled(losses.multi_step, self.model, windows),
        }
        methods = {n: m for n, m in perturbations().items() if n in self._config.synthesis}
        if methods:
            history = self.model.spec.history
            parts = [losses.transitions(*group, history) for group in windows]
            pairs, blocks = (torch.cat(part) for part in zip(*parts, strict=True))
            generator = torch.Generator().manual_seed(seed)
            for name, method in methods.items():
                config = self._config.method(name)
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
