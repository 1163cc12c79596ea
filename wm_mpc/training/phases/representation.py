"""The phase `representation`: encoder, decoder and dynamics together, from pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wm_mpc.model import losses
from wm_mpc.model.world_model import WorldModel
from wm_mpc.training.augmentation import Augmentation
from wm_mpc.training.images import images_to_float, mean_image
from wm_mpc.training.motion import distance_to_motion
from wm_mpc.training.phases.phase import Phase, PhaseInputs
from wm_mpc.training.preparation import renew_dynamics
from wm_mpc.training.readout import fit_scene_map_to


class RepresentationPhase(Phase):
    """Trains from the pixels of short recorded windows. See `Phase`."""

    name = "representation"
    stream = 0

    def __init__(self, inputs: PhaseInputs) -> None:
        super().__init__(inputs)
        self._recording, self._config, self._episodes = (
            inputs.recording, inputs.config, inputs.episodes,
        )  # fmt: skip
        self._steps = self.model.spec.history + 1
        self._starts = self._recording.window_starts(self._steps, self._episodes)
        self._augmentation = Augmentation(self._config.augmentation, self.model.spec.image.tiles)
        # The decoder's background begins as the mean image, but is trained on.
        seed = self._config.seed_of_representation
        self._mean_image = mean_image(self._recording, self._episodes, seed)

    @staticmethod
    def weights_of(model: WorldModel) -> list[nn.Parameter]:
        """See `Phase`."""
        parts = (model.decoder, model.dynamics)
        weights = [weight for part in parts for weight in part.parameters()]
        return [*model.encoder.trained(), *weights]

    def batch(self, rng: np.random.Generator) -> tuple[Any, ...]:
        """Draw windows.

        Args:
            rng: Random numbers.

        Returns:
            Images, uint8 (batch, steps + 1, height, width, 3); states, float32 (batch, steps + 1,
            state size), in their units; action blocks (batch, steps, block size), normalised; the
            images as the encoder sees them: some are disturbed, if the augmentation is on.
        """
        chosen = rng.choice(self._starts, self._config.representation_batch)
        frames, actions = self._recording.window(chosen, self._steps)
        size = self._recording.images.shape[1:]
        images = self._recording.images[frames.reshape(-1)].reshape(*frames.shape, *size)
        seen = self._augmentation.disturbed(images, rng)
        parts = images, self._recording.states[frames], actions, seen
        return tuple(map(torch.from_numpy, parts))

    def forward(
        self, images: Tensor, states: Tensor, actions: Tensor, seen: Tensor
    ) -> dict[str, Tensor]:
        """Return the loss terms of a batch; see `batch`.

        Args:
            images: Images.
            states: States.
            actions: Action blocks.
            seen: Images as the encoder sees them.
        """
        image = images_to_float(images.flatten(0, 1))
        mean = self._mean_image.to(image.device)
        scene = self.model.encode_scene(images_to_float(seen.flatten(0, 1)))
        weight = losses.moving_pixel_weight(
            image, mean, self._config.pixel_emphasis, self.model.spec.image.tiles
        )
        state = self.model.normalise_state(states)
        latents = torch.cat([scene.view(*states.shape[:2], -1), state], -1)
        prediction = losses.multi_step(self.model, latents, actions)
        terms = {
            "reconstruction": 100.0
            * losses.reconstruction(self.model, latents.flatten(0, 1), image, weight),
            "prediction": self._config.prediction_weight * prediction,
        }
        if self._config.motion_weight > 0:
            points = scene @ self.model.scene_unmap + self.model.scene_mean
            far = distance_to_motion(points, image, mean, self.model.spec.image.tiles)
            terms["still_points"] = self._config.motion_weight * far
        return terms

    def finish(self) -> None:
        """Fit the scene's coordinates, and restart the dynamics in them."""
        fit_scene_map_to(self.model, self._recording, self._episodes, self._config)
        renew_dynamics(self.model, self._recording, self._config, self._episodes)
