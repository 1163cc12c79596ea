"""The world model: image + robot state + action block -> next latent state.

A latent is the scene (keypoints, from the image alone) followed by the robot state (measured,
normalised); `split` takes it apart so that a goal cost can weigh them separately.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from wm_mpc.model.dynamics import DYNAMICS, Carry
from wm_mpc.model.encoder import BlobDecoder, KeypointEncoder
from wm_mpc.spec import RobotSpec, SpecError

# Keypoints lie in [-1, 1] with a spread of about 0.5; this brings latents to about unit scale.
_SCENE_SCALE = 2.0


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Sizes of a world model's parts.

    pose_names: what `WorldModel.read_pose` reads out of a latent, e.g. ("x", "y"); for pictures.
    """

    keypoints: int = 8
    encoder_width: int = 16
    decoder_width: int = 16
    dynamics: str = "gru"
    hidden: int = 128
    pose_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.dynamics not in DYNAMICS:
            raise SpecError(
                f"dynamics {self.dynamics!r} is unknown; accepted: {', '.join(DYNAMICS)}"
            )
        for name in ("encoder_width", "decoder_width"):
            if getattr(self, name) < 4 or getattr(self, name) % 4:
                raise SpecError(f"{name} is {getattr(self, name)}; a multiple of 4 is needed")
        if self.keypoints < 1 or self.hidden < 1:
            raise SpecError("keypoints and hidden must be positive")

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Architecture:
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise SpecError(f"architecture has unknown entries {unknown}; known: {sorted(known)}")
        return cls(**{**data, "pose_names": tuple(data.get("pose_names", ()))})


class WorldModel(nn.Module):
    """Encoder, dynamics and decoder of one robot.

    state_mean, state_std: normalisation of the measured robot state, (state size,) buffers.
    pose_weight, pose_bias: a linear read-out of the recorded pose from the scene latent, fitted
    after training. It draws predicted paths for people; no loss and no planner ever uses it.
    """

    state_mean: Tensor
    state_std: Tensor
    pose_weight: Tensor
    pose_bias: Tensor

    def __init__(self, spec: RobotSpec, architecture: Architecture | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.architecture = architecture or Architecture()
        sizes = self.architecture
        self.scene_size = 2 * sizes.keypoints
        self.latent_size = self.scene_size + spec.state.size
        self.encoder = KeypointEncoder(sizes.keypoints, sizes.encoder_width)
        self.decoder = BlobDecoder(
            sizes.keypoints, spec.image.height, spec.image.width, sizes.decoder_width
        )
        self.dynamics = DYNAMICS[sizes.dynamics](self.latent_size, spec.block_size, sizes.hidden)
        self.register_buffer("state_mean", torch.zeros(spec.state.size))
        self.register_buffer("state_std", torch.ones(spec.state.size))
        poses = len(sizes.pose_names)
        self.register_buffer("pose_weight", torch.zeros(poses, self.scene_size))
        self.register_buffer("pose_bias", torch.zeros(poses))

    def encode_scene(self, image: Tensor) -> Tensor:
        """uint8 (batch, height, width, 3) or float (batch, 3, height, width) in [0, 1] ->
        (batch, scene size)."""
        if image.dtype == torch.uint8:
            image = image.permute(0, 3, 1, 2).float() / 255.0
        return self.encoder(image) * _SCENE_SCALE

    def normalise_state(self, state: Tensor) -> Tensor:
        return (state - self.state_mean) / self.state_std

    def denormalise_state(self, state: Tensor) -> Tensor:
        return state * self.state_std + self.state_mean

    def encode(self, image: Tensor, state: Tensor) -> Tensor:
        """Images as `encode_scene`, states (batch, state size) in their units -> latents
        (batch, latent size)."""
        return torch.cat([self.encode_scene(image), self.normalise_state(state)], -1)

    def split(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """A latent (..., latent size) -> its scene and its normalised robot state part."""
        return latent[..., : self.scene_size], latent[..., self.scene_size :]

    def decode(self, latent: Tensor) -> Tensor:
        """Latents (batch, latent size) -> images, float (batch, 3, height, width)."""
        return self.decoder(self.split(latent)[0] / _SCENE_SCALE)

    def read_pose(self, latent: Tensor) -> Tensor:
        """Latents (..., latent size) -> poses (..., number of `architecture.pose_names`)."""
        return self.split(latent)[0] @ self.pose_weight.T + self.pose_bias

    def start(self, latents: Tensor, actions: Tensor) -> Carry:
        """See `GruDynamics.start`; latents (batch, history, latent size)."""
        return self.dynamics.start(latents, actions)

    def rollout(self, carry: Carry, actions: Tensor) -> Tensor:
        """Open-loop prediction: actions (batch, horizon, block size), normalised ->
        latents (batch, horizon, latent size). A carry of batch 1 is shared by all."""
        if len(carry[0]) != len(actions):
            carry = (carry[0].expand(len(actions), -1), carry[1].expand(len(actions), -1))
        latents = []
        for action in actions.unbind(1):
            carry, latent = self.dynamics.step(carry, action)
            latents.append(latent)
        return torch.stack(latents, 1)
