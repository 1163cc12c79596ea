"""Encode a picture under some conditions, and compare it with what the model draws from it."""

from __future__ import annotations

import dataclasses
import weakref

import numpy as np
import torch
from torch import Tensor

from wm_mpc.device.placed import placed
from wm_mpc.model.camera_shift import NO_SHIFT, moved_back
from wm_mpc.model.conditions import Conditions
from wm_mpc.model.lighting import CameraLighting, Light
from wm_mpc.model.world_model import WorldModel
from wm_mpc.native.selection import native_vision

USUAL = 1.2  # error up to which the model knows a picture, in multiples of what is usual
_DRAWN = 64  # random latents that are drawn, to find out what is usual in each pixel
# A pixel is rare if less than a share of pictures shows the same, up to a difference of brightness.
_RARE = 0.1, 0.2
_PALE = 0.5, 0.08  # for things that are nearly as bright as what is behind them
_typical: weakref.WeakKeyDictionary[WorldModel, np.ndarray] = weakref.WeakKeyDictionary()


@dataclasses.dataclass(frozen=True)
class Look:
    """A picture with some conditions taken out, and what the model makes of it.

    Attributes:
        conditions: What was taken out.
        light: The light that is in the picture.
        left: `Lighting.unexplained` of each camera.
        drawn: The reconstruction, float32 (height, width, 3).
    """

    conditions: Conditions
    light: Light
    left: tuple[float, ...]
    drawn: np.ndarray

    def lit(self, picture: np.ndarray) -> np.ndarray:
        """A picture (height, width, 3) in this light."""
        return _lit(picture, self.light)


class Looker:
    """Looks at pictures with one model. Not thread-safe.

    Args:
        model: The world model.

    Attributes:
        model: The world model.
        tiles: Where the picture of each camera is.
    """

    def __init__(self, model: WorldModel) -> None:
        self.model, self.tiles = model, model.spec.image.tiles
        self._lighting = CameraLighting(model.spec.image)

    @property
    def knows_light(self) -> bool:
        """Whether the checkpoint says how much light usually leaves unexplained."""
        usual = self.model.familiarity
        return usual is not None and bool(usual.usual_unexplained)

    @property
    def usual(self) -> tuple[float, ...]:
        """What light usually leaves unexplained, of each camera. Only for `knows_light`."""
        assert self.model.familiarity is not None
        return self.model.familiarity.usual_unexplained

    @property
    def as_taken(self) -> Conditions:
        """The conditions of a picture from which nothing is taken out."""
        return Conditions(None, (NO_SHIFT,) * len(self.tiles), self.tiles)

    def error(self, look: Look) -> float:
        """Return what a look leaves unexplained, in multiples of what is usual; of several cameras,
        the largest. Only for `knows_light`."""
        return max(left / known for left, known in zip(look.left, self.usual, strict=True))

    @torch.no_grad()
    def encoded(self, image: np.ndarray, state: Tensor, conditions: Conditions) -> Tensor:
        """Encode a picture.

        Args:
            image: uint8 (height, width, 3) rgb, as the camera took it.
            state: State part of its latent.
            conditions: What is taken out first.

        Returns:
            Its latent, (latent size,).
        """
        return torch.cat([encoded_scene(self.model, conditions.removed(image)), state])

    @torch.no_grad()
    def compare(self, image: np.ndarray, latent: Tensor, conditions: Conditions) -> Look:
        """Compare a picture with its reconstruction.

        Args:
            image: uint8 (height, width, 3) rgb, as the camera took it.
            latent: Its latent, (latent size,).
            conditions: What was taken out before it was encoded.
        """
        drawn = self.drawn(latent)
        seen = moved_back(image, conditions.shifts, self.tiles)
        if conditions.foreign is not None:
            known = drawn if conditions.light is None else _lit(drawn, conditions.light)
            seen = conditions.foreign.replaced(seen, known)
        edges = [shift.size for shift in conditions.shifts]
        light, left = self._lighting.compare(seen, drawn, edges)
        return Look(conditions, light, left, drawn)

    def look(self, image: np.ndarray, state: Tensor, conditions: Conditions) -> Look:
        """Encode and compare a picture.

        Args:
            image: uint8 (height, width, 3) rgb, as the camera took it.
            state: State part of its latent.
            conditions: What is taken out first.
        """
        return self.compare(image, self.encoded(image, state, conditions), conditions)

    def outside(self, image: np.ndarray, look: Look) -> np.ndarray:
        """Find where a picture differs from its reconstruction, also where a foreign object was
        covered.

        Args:
            image: uint8 (height, width, 3) rgb, as the camera took it.
            look: The look at it.

        Returns:
            `CameraLighting.outside`, the largest of the colours, float32 (height, width).
        """
        seen = moved_back(image, look.conditions.shifts, self.tiles)
        found: np.ndarray = self._lighting.outside(seen, look.drawn, look.light).max(-1)
        return found

    @torch.no_grad()
    def drawn(self, latent: Tensor) -> np.ndarray:
        """Return the reconstruction of a latent (latent size,), float32 (height, width, 3)."""
        vision = native_vision(self.model)
        if vision is None:
            return self.model.decode(latent[None])[0].permute(1, 2, 0).contiguous().numpy()
        return vision.redraw(latent).numpy()

    def prepare(self) -> None:
        """Draw what `rare` compares with. That takes a while, once for a model."""
        if self.model not in _typical:
            _typical[self.model] = self._drawn_at_random()

    def rare(self, look: Look, mask: np.ndarray, *, pale: bool = False) -> np.ndarray:
        """Find pixels of a reconstruction where something is that is mostly elsewhere.

        Args:
            look: The look with the reconstruction.
            mask: bool (height, width), the pixels that count.
            pale: Whether things count, too, that are nearly as bright as what is behind them.

        Returns:
            bool (height, width).
        """
        self.prepare()
        apart = np.abs(_typical[self.model][:, mask] - look.drawn[mask]).max(-1)
        found = np.zeros_like(mask)
        kinds = (_RARE, _PALE) if pale else (_RARE,)
        found[mask] = np.any([(apart < most).mean(0) < share for share, most in kinds], 0)
        return found

    def apart(self, one: Conditions, other: Conditions, image: np.ndarray, state: Tensor) -> float:
        """Measure how far apart the scenes are that a picture shows under two conditions, in
        typical motions per model step.

        Args:
            one: Some conditions.
            other: Other ones.
            image: uint8 (height, width, 3) rgb, as the camera took it.
            state: State part of its latent.
        """
        assert self.model.familiarity is not None
        first, second = (
            self.model.embed(self.encoded(image, state, each)) for each in (one, other)
        )
        return float((first - second).norm()) / max(self.model.familiarity.step, 1e-6)

    def _drawn_at_random(self) -> np.ndarray:
        """What the model draws from random latents, (n, height, width, 3)."""
        generator = torch.Generator().manual_seed(0)
        size = self.model.scene_size + self.model.spec.state.size
        latents = torch.randn(_DRAWN, size, generator=generator)
        return np.stack([self.drawn(latent) for latent in latents])


def encoded_scene(model: WorldModel, image: np.ndarray, *, native: bool = True) -> Tensor:
    """Return the scene part of an image's latent, (scene size,), from the device that the model
    uses.

    Args:
        model: The world model.
        image: uint8 (height, width, 3) rgb.
        native: Whether to use the compiled encoder, if there is one.
    """
    pixels = torch.from_numpy(np.array(image))
    if (copy := placed(model)) is not None:
        return copy.encode_scene(pixels)
    vision = native_vision(model) if native else None
    return model.encode_scene(pixels[None])[0] if vision is None else vision.encode_scene(pixels)


def _lit(picture: np.ndarray, light: Light) -> np.ndarray:
    lit: np.ndarray = (picture * light.gain + light.offset).clip(0.0, 1.0)
    return lit
