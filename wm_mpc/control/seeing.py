"""Tell light, a bumped camera and foreign objects from what the model does not know.

The controller plans from pictures without them, so that they do not move what the model sees. The
guard (`control/surprise.py`) counts only what they do not explain.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from wm_mpc.control.foreign import ForeignSearch
from wm_mpc.control.foreign_memory import ForeignMemory
from wm_mpc.control.looking import USUAL, Look, Looker
from wm_mpc.model.camera_shift import (
    NO_SHIFT,
    Shift,
    apart,
    largest_shift,
    likeliest_shift,
    moved_back,
)
from wm_mpc.model.conditions import Conditions
from wm_mpc.model.lighting import Light
from wm_mpc.model.world_model import WorldModel

# Pictures in a row that must show nearly the same shift; more, if it changed twice lately, or more.
_ALIKE, _LATELY = 3, 300
_PAUSE = 10  # pictures without a search after one that found nothing
_ROUNDS = 3  # of a search; each begins from the best shift so far
# What may be left when a shift is undone: a share of the error, and a multiple of the usual one.
_BETTER, _FAMILIAR = 0.7, 1.5
_UNKNOWN = 3.0  # multiple of the usual error from which on a shift of one pixel may count


class Seeing:
    """Compares pictures with their reconstructions by one model. Not thread-safe.

    Args:
        model: The world model.
        shifts: How far the picture of each camera is known to be moved; empty: not.

    Attributes:
        shifts: How far the picture of each camera is moved, as far as it is known by now.
        last: The look at the last picture that `compare` got; None before the first.
    """

    def __init__(self, model: WorldModel, shifts: tuple[Shift, ...] = ()) -> None:
        self._looker = Looker(model)
        self._tiles = self._looker.tiles
        self._foreign, self._memory = ForeignSearch(self._looker), ForeignMemory(self._looker)
        if self.knows_light:
            self._looker.prepare()
        self.last: Look | None = None
        self.shifts: tuple[Shift, ...] = shifts or (NO_SHIFT,) * len(self._tiles)
        self._alike: list[list[Shift]] = [[] for _ in self._tiles]
        self._pause = [0] * len(self._tiles)
        self._foreign_pause = self._pictures = 0
        self._changes: list[int] = []  # numbers of the pictures at which a shift changed lately

    @property
    def knows_light(self) -> bool:
        """Whether the checkpoint says how much light usually leaves unexplained."""
        return self._looker.knows_light

    def compare(
        self, image: np.ndarray, latent: Tensor, used: Conditions | None = None
    ) -> tuple[Light, tuple[float, ...]]:
        """Find the light of a picture, and what it does not explain.

        Args:
            image: uint8 (height, width, 3) rgb, as the camera took it.
            latent: Its latent, (latent size,).
            used: What was taken out of the image before it was encoded; None: nothing. Of the first
                picture, its shifts count from now on if the model knows the picture with them.

        Returns:
            The light, and `Lighting.unexplained` of each camera.
        """
        is_first = self.last is None
        self.last = self._looker.compare(image, latent, used or self._looker.as_taken)
        if is_first and self.knows_light and self._looker.error(self.last) <= USUAL:
            self.shifts = self.last.conditions.shifts  # see `at_first`
        return self.last.light, self.last.left

    def relit(self, image: np.ndarray, state: Tensor, shifts: tuple[Shift, ...] = ()) -> Conditions:
        """Find the light of a picture before which none is known.

        Args:
            image: uint8 (height, width, 3) rgb, as the camera took it.
            state: State part of its latent.
            shifts: The shift of each camera; empty: none.
        """
        moved = dataclasses.replace(self._looker.as_taken, shifts=shifts or self._none)
        return dataclasses.replace(moved, light=self._looker.look(image, state, moved).light)

    def at_first(self, image: np.ndarray, state: Tensor) -> Conditions:
        """Find the conditions of the first live picture. Only for `knows_light`.

        The camera may have been bumped since the recordings. Nothing moves yet, so one picture is
        enough if the model does not know it as it is, and knows it as well as usual with a shift.

        Args:
            image: uint8 (height, width, 3) rgb, as the camera took it.
            state: State part of its latent.

        Returns:
            Its light, and such a shift.
        """
        look = self._tried(image, state)
        if self._looker.error(look) <= _UNKNOWN:
            return look.conditions
        moved = self._tried(image, state, self._all_found(image, state))
        return moved.conditions if self._looker.error(moved) <= USUAL else look.conditions

    def standing_alone(
        self, image: np.ndarray, state: Tensor, known: Sequence[tuple[Shift, ...]]
    ) -> Conditions:
        """Find the conditions of a picture that stands alone, such as a goal's.

        It may have been taken before or after the camera was bumped or put back, and show a foreign
        object. Only for `knows_light`.

        Args:
            image: uint8 (height, width, 3) rgb, as the camera took it.
            state: State part of its latent.
            known: Shifts of each camera that live pictures have or had.

        Returns:
            Its light; no shift or one of `known`, whichever the model knows best, or the shift that
            is found, if the model knows none of these well; and a foreign object without doubt.
        """
        cameras = range(len(self._tiles))
        looks = [
            self._tried(image, state, shifts) for shifts in dict.fromkeys([self._none, *known])
        ]
        look = min(looks, key=lambda each: self._unlike(image, each, cameras))
        if self._looker.error(look) > USUAL:
            other = self._tried(image, state, self._all_found(image, state))
            if self._unlike(image, other, cameras) < self._unlike(image, look, cameras):
                look = other
        seen = self._foreign.find(image, state, look)
        if seen is None or seen.foreign is None or seen.foreign.doubt:
            return look.conditions
        return seen

    def past_foreign(self, image: np.ndarray, latent: Tensor, conditions: Conditions) -> Conditions:
        """Find out what is foreign in a picture. Only for `knows_light`.

        It takes several times as long as to encode a picture, so call it for strange ones only.
        After a search that found nothing, some pictures are left alone.

        Args:
            image: uint8 (height, width, 3) rgb, as the camera took it.
            latent: Its latent, (latent size,).
            conditions: What was taken out before it was encoded. A foreign object in it is that of
                the picture before. It is kept while its place does not look as the model draws it.

        Returns:
            The conditions with the foreign object as it is now, or without any.
        """
        state = self._looker.model.split(latent)[1]
        look = self._looker.compare(image, latent, conditions)
        if conditions.foreign is None:
            return self._newly_found(image, state, look) or conditions
        bare = dataclasses.replace(conditions, foreign=None)
        plain = self._looker.look(image, state, bare)
        kept = self._memory.kept(image, look, plain)
        seen = self._memory.followed(image, state, look, plain)
        seen = seen or self._newly_found(image, state, plain)
        if seen is not None:
            return self._memory.joined(image, state, look, kept, seen)
        return self._memory.remembered(image, state, look, kept) or bare

    def _newly_found(self, image: np.ndarray, state: Tensor, look: Look) -> Conditions | None:
        """Search a picture that the model does not know. After a search that found nothing, there
        is none for some pictures."""
        if self._looker.error(look) <= USUAL:
            return None
        if self._foreign_pause > 0:
            self._foreign_pause -= 1
            return None
        found = self._foreign.find(image, state, look)
        self._foreign_pause = _PAUSE if found is None else 0
        return found

    def seek(self, image: np.ndarray, state: Tensor, left: Sequence[float] = ()) -> bool:
        """Look for the shift of each camera whose picture the model does not know well.

        A new shift counts when a few pictures in a row show it; more of them, if it keeps changing.
        Call it once for each picture, when nobody waits for a plan. Only for `knows_light`.

        Args:
            image: uint8 (height, width, 3) rgb, as the camera took it.
            state: State part of its latent.
            left: From `compare`. If it is empty, the picture is compared again with its foreign
                object in it: a bumped camera may look like one.

        Returns:
            Whether `shifts` changed.
        """
        left = left or self._tried(image, state, self.shifts).left
        before = self.shifts
        self._pictures += 1
        self._changes = [at for at in self._changes if self._pictures - at < _LATELY]
        for camera, error in enumerate(left):
            alike = self._alike[camera]
            if error <= self._looker.usual[camera]:
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
            if len(alike) >= _ALIKE * max(1, len(self._changes)):
                alike.clear()
                self.shifts = _replaced(self.shifts, camera, shift)
                self._changes.append(self._pictures)
        return self.shifts != before

    @property
    def _none(self) -> tuple[Shift, ...]:
        return (NO_SHIFT,) * len(self._tiles)

    def _tried(self, image: np.ndarray, state: Tensor, shifts: tuple[Shift, ...] = ()) -> Look:
        """A look with these shifts, and with the light that is found with them."""
        return self._looker.look(image, state, self.relit(image, state, shifts))

    def _all_found(self, image: np.ndarray, state: Tensor) -> tuple[Shift, ...]:
        """The shifts of all cameras, as `_found` tells them; none where it finds none."""
        cameras = range(len(self._tiles))
        return tuple(self._found(camera, image, state) or NO_SHIFT for camera in cameras)

    def _found(self, camera: int, image: np.ndarray, state: Tensor) -> Shift | None:
        """The shift of a camera with which the model knows its picture; None if there is none.

        Light comes first: without a shift, the model may know the picture in this light. It
        forgives a shift of one pixel anyway, so such a shift explains nothing.
        """
        looker, usual = self._looker, self._looker.usual[camera]

        def tried(shift: Shift, light: Light) -> Look:
            shifts = _replaced(self.shifts, camera, shift)
            return looker.look(image, state, Conditions(light, shifts, self._tiles))

        tile = self._tiles[camera]
        seen = np.ascontiguousarray(tile.of(image))
        still = looker.model.decoder.still()[0].permute(1, 2, 0).numpy()
        as_taken = self.relit(image, state, _replaced(self.shifts, camera, NO_SHIFT))
        assert as_taken.light is not None
        plain = tried(NO_SHIFT, as_taken.light)
        if plain.left[camera] <= usual:
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
        now = self.shifts[camera]
        if best.size <= 1 and now != NO_SHIFT:  # it was put back
            return NO_SHIFT if plain.left[camera] < _BETTER * looks[now].left[camera] else None
        least = min(_BETTER * plain.left[camera], _FAMILIAR * usual)
        # A shift of one pixel explains something only where the model forgives no more of it.
        counts = best.size > 1 or (best.size == 1 and plain.left[camera] > _UNKNOWN * usual)
        return best if counts and looks[best].left[camera] <= least else None

    def _unlike(self, image: np.ndarray, look: Look, cameras: Sequence[int]) -> float:
        """How unlike a picture and its reconstruction are, on average over some cameras."""
        moved = moved_back(image, look.conditions.shifts, self._tiles)
        lit = look.lit(look.drawn)
        tiles = [self._tiles[number] for number in cameras]
        parts = [
            apart(tile.of(moved), tile.of(lit), largest_shift(tile.height) + 1) for tile in tiles
        ]
        return sum(parts) / len(parts)


def _replaced(shifts: Sequence[Shift], camera: int, shift: Shift) -> tuple[Shift, ...]:
    return tuple(shift if number == camera else other for number, other in enumerate(shifts))
