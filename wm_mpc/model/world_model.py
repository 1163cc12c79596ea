"""The world model: image, robot state and action block -> next latent.

A latent is the scene, then the robot state. The scene consists of the principal components of the
keypoints, from the image alone. The state is measured and normalised; an angle becomes sine and
cosine (see `model/state_features.py`). `split` separates the two, so a goal cost can weigh them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from wm_mpc.model.architecture import DYNAMICS, Architecture
from wm_mpc.model.cameras import decoder_of, encoder_of
from wm_mpc.model.dynamics import Carry, GruDynamics
from wm_mpc.model.embedding import TemporalEmbedding, diagonal
from wm_mpc.model.gru_rollout import FusedWeights, fused_rollout
from wm_mpc.model.proposals import PlanProposals
from wm_mpc.model.state_features import StateFeatures
from wm_mpc.model.weights import version_of
from wm_mpc.spec import RobotSpec, SpecError

if TYPE_CHECKING:
    from wm_mpc.model.familiarity import Familiarity

# Keypoints lie in [-1, 1] with a spread of about 0.5. This factor gives latents about unit scale
# until the map from keypoints to the scene latent is fitted.
_SCENE_SCALE = 2.0


class WorldModel(nn.Module):
    """Encoder, dynamics and decoder of one robot, and everything else that a planner asks for.

    Args:
        spec: The robot.
        architecture: Sizes of the parts.

    Attributes:
        scene_size: Size of the scene part of a latent.
        latent_size: Size of a latent.
        state_mean: (state size,), mean of each entry of the state; for an angle, its mean
            direction.
        state_std: (state size,), spread of each entry; for an angle, its spread on the unit circle.
        scene_mean: (scene size,), offset of the affine map from keypoints to the scene latent.
        scene_map: (scene size, scene size), matrix of that map; a plain scale until
            `training/readout.py` fits it.
        scene_unmap: (scene size, scene size), inverse of `scene_map`.
        pose_weight: (pose size, scene size), matrix of a linear read-out of the recorded pose,
            fitted after training. It draws predicted paths for people. No loss and no planner uses
            it.
        pose_bias: (pose size,), offset of the read-out.
        familiarity: How wrong the model usually is; None if nobody measured it.

    Raises:
        SpecError: The robot and the architecture do not fit together.
    """

    state_mean: Tensor
    state_std: Tensor
    scene_mean: Tensor
    scene_map: Tensor
    scene_unmap: Tensor
    pose_weight: Tensor
    pose_bias: Tensor

    def __init__(self, spec: RobotSpec, architecture: Architecture | None = None) -> None:

        super().__init__()
        self.spec = spec
        self.architecture = architecture or Architecture()
        sizes = self.architecture
        if sizes.dynamics == "transformer" and sizes.context < spec.history:
            raise SpecError(
                f"context is {sizes.context}; at least the history, {spec.history}, is needed"
            )
        self._fused: tuple[object, FusedWeights] | None = None
        self._place_shares: Tensor | None = None
        self.familiarity: Familiarity | None = None  # where it was measured
        self.scene_size = 2 * sizes.keypoints * len(spec.images)
        self._features = StateFeatures(spec.state)
        self.latent_size = self.scene_size + self._features.size
        self.encoder = encoder_of(spec.image, sizes)
        self.decoder = decoder_of(spec.image, sizes, self._features.size)
        self.embedding = TemporalEmbedding(self.scene_size, min(sizes.embedding, self.scene_size))
        self.dynamics = DYNAMICS[sizes.dynamics](
            self.latent_size, spec.block_size, self.scene_size if sizes.gate else 0, sizes
        )
        self.proposals: PlanProposals | None = None
        if sizes.proposals:
            self.proposals = PlanProposals(
                self.latent_size, self.scene_size, spec.block_size, sizes.proposals,
                sizes.proposal_steps,
            )  # fmt: skip
        self.register_buffer("state_mean", torch.zeros(spec.state.size))
        self.register_buffer("state_std", torch.ones(spec.state.size))
        self.register_buffer("scene_mean", torch.zeros(self.scene_size))
        size = self.scene_size
        self.register_buffer("scene_map", diagonal(size, size, _SCENE_SCALE))
        self.register_buffer("scene_unmap", diagonal(size, size, 1.0 / _SCENE_SCALE))
        poses = len(sizes.pose_names)
        self.register_buffer("pose_weight", torch.zeros(poses, self.scene_size))
        self.register_buffer("pose_bias", torch.zeros(poses))

    def encode_scene(self, image: Tensor) -> Tensor:
        """Encode images into the scene part of latents.

        Args:
            image: uint8 (batch, height, width, 3) rgb, or float (batch, 3, height, width) in [0,
                1].

        Returns:
            (batch, scene size).
        """
        if image.dtype == torch.uint8:
            image = image.permute(0, 3, 1, 2).float() / 255.0
        points: Tensor = self.encoder(image)
        return (points - self.scene_mean) @ self.scene_map

    @property
    def place_shares(self) -> Tensor:
        """Shares of the state part's entries in a distance of places; see `StateFeatures`."""
        shares, device = self._place_shares, self.state_mean.device
        if shares is None or shares.device != device:
            shares = self._place_shares = self._features.place_shares.to(device)
        return shares

    def normalise_state(self, state: Tensor) -> Tensor:
        """Turn states into the state part of latents.

        Args:
            state: (..., state size), each entry in its unit.

        Returns:
            (..., state size plus one for each angle).
        """
        return self._features.of(state, self.state_mean, self.state_std)

    def denormalise_state(self, state: Tensor) -> Tensor:
        """Invert `normalise_state`. Angles are within pi of their mean direction."""
        return self._features.back(state, self.state_mean, self.state_std)

    def encode(self, image: Tensor, state: Tensor) -> Tensor:
        """Encode images and states into latents.

        Args:
            image: As in `encode_scene`.
            state: (batch, state size), each entry in its unit.

        Returns:
            (batch, latent size).
        """
        return torch.cat([self.encode_scene(image), self.normalise_state(state)], -1)

    def split(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Split latents into their scene part and their state part.

        Args:
            latent: (..., latent size).
        """
        return latent[..., : self.scene_size], latent[..., self.scene_size :]

    def decode(self, latent: Tensor) -> Tensor:
        """Reconstruct images.

        Args:
            latent: (batch, latent size).

        Returns:
            float (batch, 3, height, width), about in [0, 1].
        """
        scene, state = self.split(latent)
        image: Tensor = self.decoder(scene @ self.scene_unmap + self.scene_mean, state)
        return image

    def embed(self, latent: Tensor) -> Tensor:
        """Embed the scenes of latents, as goals are compared.

        Args:
            latent: (..., latent size).

        Returns:
            (..., embedding size).
        """
        embedded: Tensor = self.embedding(self.split(latent)[0])
        return embedded

    def read_pose(self, latent: Tensor) -> Tensor:
        """Read poses out of latents.

        Args:
            latent: (..., latent size).

        Returns:
            (..., pose size), one for each of `architecture.pose_names`.
        """
        return self.split(latent)[0] @ self.pose_weight.T + self.pose_bias

    def propose(self, latent: Tensor, goal: Tensor) -> Tensor:
        """Return the learned first plans.

        Args:
            latent: The present latent, (latent size,).
            goal: The latent of the goal, (latent size,).

        Returns:
            Normalised plans (n, steps, block size) in [-1, 1]; n is 0 if none were learned.
        """
        if self.proposals is None:
            return latent.new_zeros(0, self.architecture.proposal_steps, self.spec.block_size)
        plans: Tensor = self.proposals(latent[None], self.split(goal)[0][None])[0]
        return plans.clamp(-1.0, 1.0)

    def start(self, latents: Tensor, actions: Tensor) -> Carry:
        """Process an observed history; see `Dynamics.start`."""
        return self.dynamics.start(latents, actions)

    def rollout(self, carry: Carry, actions: Tensor) -> Tensor:
        """Predict latents in open loop.

        Args:
            carry: From `start`. A carry of batch 1 serves all rows.
            actions: Normalised action blocks, (batch, horizon, block size).

        Returns:
            (batch, horizon, latent size).
        """
        if len(carry[0]) != len(actions):
            carry = tuple(part.expand(len(actions), *part.shape[1:]) for part in carry)
        if isinstance(self.dynamics, GruDynamics) and not self._is_trained():
            latent, hidden = carry
            return fused_rollout(self.fused_weights(self.dynamics), latent, hidden, actions)
        latents = []
        for action in actions.unbind(1):
            carry, latent = self.dynamics.step(carry, action)
            latents.append(latent)
        return torch.stack(latents, 1)

    def _is_trained(self) -> bool:
        return any(weight.requires_grad for weight in self.dynamics.parameters())

    def fused_weights(self, dynamics: GruDynamics) -> FusedWeights:
        """Return the merged weights of the dynamics; they are merged again after each change."""
        version = version_of(dynamics.parameters())
        if self._fused is None or self._fused[0] != version:
            self._fused = (version, FusedWeights.of(dynamics))
        return self._fused[1]
