"""Tell a room's light and a bumped camera from what the model does not know, in each picture.

The controller plans from pictures with the light taken out and the camera's shift undone, so that
neither moves what the model sees. The guard (`control/surprise.py`) counts only what both do not
explain.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from wm_mpc.model.camera_shift import (
    NO_SHIFT,
    Conditions,
    Shift,
    apart,
    largest_shift,
    likeliest_shift,
    moved_back,
)
from wm_mpc.model.lighting import CameraLighting, Light
from wm_mpc.model.world_model import WorldModel
from wm_mpc.native.selection import native_vision

_ALIKE = 3  # pictures in a row that must show nearly the same shift
_PAUSE = 10  # pictures without a search after one that found nothing
_ROUNDS = 3  # of a search; each begins from the best shift so far
# What may be left when a shift is undone: a share of the error, and a multiple of the usual one.
_BETTER, _FAMILIAR = 0.7, 1.5


@dataclasses.dataclass(frozen=True)
class _Look:
    """A picture with some shifts undone, and what the model makes of it.

    Attributes:
        shifts: These shifts.
        light: The light that is left.
        left: `Lighting.unexplained` of each camera.
        drawn: The reconstruction, float32 (height, width, 3).
    """

    shifts: tuple[Shift, ...]
    light: Light
    left: tuple[float, ...]
    drawn: np.ndarray

    def lit(self, picture: np.ndarray) -> np.ndarray:
        """A picture (height, width, 3) in this light."""
        lit: np.ndarray = (picture * self.light.gain + self.light.offset).clip(0.0, 1.0)
        return lit


class Seeing:
    """Compares pictures with their reconstructions by one model. Not thread-safe.

    Args:
        model: The world model.

    Attributes:
        shifts: How far the picture of each camera is moved, as far as it is known by now.
    """

    def __init__(self, model: WorldModel) -> None:
        self._model, self._tiles = model, model.spec.image.tiles
        self._lighting = CameraLighting(model.spec.image)
        self.shifts: tuple[Shift, ...] = (NO_SHIFT,) * len(self._tiles)
        self._alike: list[list[Shift]] = [[] for _ in self._tiles]
        self._pause = [0] * len(self._tiles)

    @property
    def knows_light(self) -> bool:
        """Whether the checkpoint says how much light usually leaves unexplained."""
        usual = self._model.familiarity
        return usual is not None and bool(usual.usual_unexplained)

    @torch.no_grad()
    def compare(
        self, image: np.ndarray, latent: Tensor, shifts: tuple[Shift, ...] = ()
    ) -> tuple[Light, tuple[float, ...]]:
        """Find the light of a picture, and what it does not explain.

        Args:
            image: uint8 (height, width, 3) rgb, as the camera took it.
            latent: Its latent, (latent size,).
            shifts: The shift of each camera that was undone before; empty: none.

        Returns:
            The light, and `Lighting.unexplained` of each camera.
        """
        look = self._look(image, latent, shifts or self._none)
        return look.light, look.left

    @torch.no_grad()
    def relit(self, image: np.ndarray, state: Tensor, shifts: tuple[Shift, ...] = ()) -> Conditions:
        """Find the light of a picture before which none is known.

        Args:
            image: uint8 (height, width, 3) rgb, as the camera took it.
            state: State part of its latent.
            shifts: The shift of each camera; empty: none.
        """
        moved = Conditions(None, shifts or self._none, self._tiles)
        light = self._look(image, self._encoded(image, state, moved), moved.shifts).light
        return dataclasses.replace(moved, light=light)

    @torch.no_grad()
    def standing_alone(
        self, image: np.ndarray, state: Tensor, shifts: tuple[Shift, ...]
    ) -> Conditions:
        """Find the conditions of a picture that stands alone, such as a goal's.

        It may have been taken before or after the camera was bumped. Only for `knows_light`.

        Args:
            image: uint8 (height, width, 3) rgb, as the camera took it.
            state: State part of its latent.
            shifts: The shift of each camera, as far as it is known; empty: none.

        Returns:
            Its light, and either no shift or `shifts`, whichever the model knows better.
        """
        conditions = self.relit(image, state)
        if (shifts or self._none) == self._none:
            return conditions
        others = conditions, self.relit(image, state, shifts)
        looks = [
            self._look(image, self._encoded(image, state, each), each.shifts) for each in others
        ]
        cameras = range(len(self._tiles))
        first, second = (self._unlike(image, look, cameras) for look in looks)
        return others[second < first]

    @torch.no_grad()
    def seek(self, image: np.ndarray, state: Tensor, left: Sequence[float]) -> bool:
        """Look for the shift of each camera whose picture the model does not know well.

        A new shift counts when a few pictures in a row show it. Call it once for each picture, when
        nobody waits for a plan. Only for `knows_light`.

        Args:
            image: uint8 (height, width, 3) rgb, as the camera took it.
            state: State part of its latent.
            left: From `compare`.

        Returns:
            Whether `shifts` changed.
        """
        before = self.shifts
        for camera, error in enumerate(left):
            alike = self._alike[camera]
            if error <= self._usual[camera]:
                alike.clear()
                self._pause[camera] = 0
                continue
            if self._pause[camera] > 0:
                self._pause[camera] -= 1
                continue
            shift = self._found(camera, image, state)
            if shift is None or shift == self.shifts[camera]:
                alike.clear()
                self._pause[camera] = _PAUSE
                continue
            if not all(map(shift.is_near, alike)):
                alike.clear()
            alike.append(shift)
            if len(alike) == _ALIKE:
                alike.clear()
                self.shifts = _replaced(self.shifts, camera, shift)
        return self.shifts != before

    @property
    def _none(self) -> tuple[Shift, ...]:
        return (NO_SHIFT,) * len(self._tiles)

    @property
    def _usual(self) -> tuple[float, ...]:
        assert self._model.familiarity is not None
        return self._model.familiarity.usual_unexplained

    def _found(self, camera: int, image: np.ndarray, state: Tensor) -> Shift | None:
        """The shift of a camera with which the model knows its picture; None if there is none.

        Light comes first: without a shift, the model may know the picture in this light. It
        forgives a shift of one pixel anyway, so such a shift explains nothing.
        """

        def tried(shift: Shift, light: Light) -> _Look:
            shifts = _replaced(self.shifts, camera, shift)
            conditions = Conditions(light, shifts, self._tiles)
            return self._look(image, self._encoded(image, state, conditions), shifts)

        tile = self._tiles[camera]
        seen = np.ascontiguousarray(tile.of(image))
        still = self._model.decoder.still()[0].permute(1, 2, 0).numpy()
        as_taken = self.relit(image, state, _replaced(self.shifts, camera, NO_SHIFT))
        assert as_taken.light is not None
        plain = tried(NO_SHIFT, as_taken.light)
        if plain.left[camera] <= self._usual[camera]:
            return NO_SHIFT
        looks = {NO_SHIFT: plain}
        if self.shifts[camera] != NO_SHIFT:
            looks[self.shifts[camera]] = tried(self.shifts[camera], plain.light)
        unlike = {shift: self._unlike(image, look, [camera]) for shift, look in looks.items()}
        best = NO_SHIFT
        for _ in range(_ROUNDS):
            known = looks[best]
            for picture in (known.drawn, still):
                shift = likeliest_shift(seen, tile.of(known.lit(picture)))
                if shift is not None and shift not in looks:
                    looks[shift] = tried(shift, known.light)
                    unlike[shift] = self._unlike(image, looks[shift], [camera])
            before, best = best, min(unlike, key=lambda shift: unlike[shift])
            if best == before:
                break
        least = min(_BETTER * plain.left[camera], _FAMILIAR * self._usual[camera])
        return best if best.size > 1 and looks[best].left[camera] <= least else None

    def _unlike(self, image: np.ndarray, look: _Look, cameras: Sequence[int]) -> float:
        """How unlike a picture and its reconstruction are, on average over some cameras."""
        moved, lit = moved_back(image, look.shifts, self._tiles), look.lit(look.drawn)
        tiles = [self._tiles[number] for number in cameras]
        parts = [
            apart(tile.of(moved), tile.of(lit), largest_shift(tile.height) + 1) for tile in tiles
        ]
        return sum(parts) / len(parts)

    def _encoded(self, image: np.ndarray, state: Tensor, conditions: Conditions) -> Tensor:
        return torch.cat([encoded_scene(self._model, conditions.removed(image)), state])

    def _look(self, image: np.ndarray, latent: Tensor, shifts: tuple[Shift, ...]) -> _Look:
        vision = native_vision(self._model)
        if vision is None:
            drawn = self._model.decode(latent[None])[0].permute(1, 2, 0).contiguous().numpy()
        else:
            drawn = vision.redraw(latent).numpy()
        seen = moved_back(image, shifts, self._tiles)
        light, left = self._lighting.compare(seen, drawn, [shift.size for shift in shifts])
        return _Look(shifts, light, left, drawn)


def encoded_scene(model: WorldModel, image: np.ndarray, *, native: bool = True) -> Tensor:
    """Return the scene part of an image's latent, (scene size,).

    Args:
        model: The world model.
        image: uint8 (height, width, 3) rgb.
        native: Whether to use the compiled encoder, if there is one.
    """
    pixels = torch.from_numpy(np.array(image))
    vision = native_vision(model) if native else None
    return model.encode_scene(pixels[None])[0] if vision is None else vision.encode_scene(pixels)


def _replaced(shifts: Sequence[Shift], camera: int, shift: Shift) -> tuple[Shift, ...]:
    return tuple(shift if number == camera else other for number, other in enumerate(shifts))
