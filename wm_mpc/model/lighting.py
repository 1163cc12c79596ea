"""What the light of a room does to a picture, as far as the model can tell.

A picture differs from its reconstruction by the light, by small things that do not matter (a shift
of a pixel, a slight blur), and by what the model does not know. `Lighting.fit` finds the light: a
smooth gain and an offset for each colour, inside plausible bounds, so that a covered lens or a dark
room is not light. `Lighting.unexplained` measures what is left. `Light.removed` gives the picture
as it would be in the light of the recordings, which the encoder knows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from wm_mpc.spec import ImageSpec

_ORDER = 2  # of the polynomial that the gain is over the picture
_CELL = 4  # pixels; the light is fitted to means over squares of this size
_ROUNDS = 3  # fits; each trusts less what the one before could not explain
_TRUST = 4.0 / 255.0  # smallest error that lowers the trust in a square
# How strongly a fit without evidence stays at neutral light: in mean gain, in its changes over the
# picture, and in offset.
_RIDGE_GAIN, _RIDGE_FIELD, _RIDGE_OFFSET = 1e-3, 2e-3, 1e-2
_DARKEST, _BRIGHTEST = 0.5, 1.6  # plausible gains
_HAZE = 0.12  # largest plausible offset, 1: full brightness
_BLACK, _WHITE = 0.01, 0.97  # darker and brighter pixels say little about the light
_DRAWN_WHITE = 0.9  # at least, in a reconstruction of white
_BORDER = 2  # pixels at each side that do not count: what a moved camera sees new
_NEUTRAL = 2.0 / 255.0  # a light that changes the picture by less, on average, is left in it


@dataclasses.dataclass(frozen=True)
class Light:
    """A light over pictures of one size, compared with that of the recordings.

    Attributes:
        gain: float32 (height, width, 3), from 0.5 to 1.6.
        offset: float32 (3,), 1: full brightness; of joined pictures (height, width, 3).
        is_neutral: Whether it is so near to that of the recordings that it is left in pictures.
    """

    gain: np.ndarray
    offset: np.ndarray
    is_neutral: bool

    def removed(self, image: np.ndarray) -> np.ndarray:
        """Return a picture as it would be in the light of the recordings.

        Args:
            image: uint8 (height, width, 3) rgb.

        Returns:
            uint8 (height, width, 3) rgb; `image` itself if the light is neutral.
        """
        if self.is_neutral:
            return image
        relit = (image - 255.0 * self.offset) / self.gain
        rounded: np.ndarray = (relit + 0.5).clip(0.0, 255.0).astype(np.uint8)
        return rounded

    def brightness(self) -> float:
        """Return the mean gain, for people."""
        return float(self.gain.mean())


class Lighting:
    """Fits lights to pictures of one size. Not thread-safe.

    Args:
        height: Height of the pictures, pixels.
        width: Width of the pictures, pixels.
    """

    def __init__(self, height: int, width: int) -> None:
        self._size = height, width
        self._rows, self._columns = _means(height), np.ascontiguousarray(_means(width).T)
        self._field = _polynomials(np.linspace(-1.0, 1.0, height), np.linspace(-1.0, 1.0, width))
        rows = self._rows @ np.linspace(-1.0, 1.0, height, dtype=np.float32)
        columns = np.linspace(-1.0, 1.0, width, dtype=np.float32) @ self._columns
        self._basis = _polynomials(rows, columns)
        cells, terms = self._basis.shape
        self._design = np.ones((3, cells, terms + 1), np.float32)
        ridge = np.full(terms + 1, _RIDGE_FIELD, np.float32)
        ridge[0], ridge[-1] = _RIDGE_GAIN, _RIDGE_OFFSET
        self._ridge = cells * np.diag(ridge)
        self._prior = np.zeros((terms + 1, 1), np.float32)
        self._prior[0] = 1.0  # gain 1 everywhere, offset 0

    def fit(self, image: np.ndarray, drawn: np.ndarray) -> Light:
        """Find the light in which the reconstruction looks most like the picture.

        Args:
            image: uint8 (height, width, 3) rgb.
            drawn: The reconstruction, float32 (height, width, 3), about in [0, 1].
        """
        seen, known = self._averaged(image) / np.float32(255.0), self._averaged(drawn)
        design = self._design
        np.multiply(known[..., None], self._basis, out=design[..., :-1])
        # A square that is white and drawn so says only that the light is not darker there.
        is_white = (seen >= _WHITE) & (known >= _DRAWN_WHITE)
        usable = ((seen > _BLACK) & (seen < _WHITE)) + np.float32(1e-3)
        weight = np.where(is_white, np.float32(1.0), usable)
        pull = self._ridge @ self._prior
        for number in range(_ROUNDS):
            weighted = (design * weight[..., None]).transpose(0, 2, 1)
            found = np.linalg.solve(
                weighted @ design + self._ridge, weighted @ seen[..., None] + pull
            )
            if number + 1 < _ROUNDS:
                error = (design @ found)[..., 0] - seen
                scale = max(1.5 * float(np.median(np.abs(error))), _TRUST)
                weight = usable / np.maximum(1.0, np.square(error / scale))
                weight[is_white & (error < 0.0)] = 1.0
        gain = (self._field @ found[:, :-1, 0].T).reshape(*self._size, 3)
        gain = gain.clip(_DARKEST, _BRIGHTEST)
        offset = found[:, -1, 0].clip(-_HAZE, _HAZE)
        changed = float(np.abs(drawn * (gain - 1.0) + offset).mean())
        return Light(gain, offset, is_neutral=changed < _NEUTRAL)

    def unexplained(
        self, image: np.ndarray, drawn: np.ndarray, light: Light, repeated: int = 0
    ) -> float:
        """Measure what neither the light nor a shift of a pixel or a slight blur explains.

        Args:
            image: uint8 (height, width, 3) rgb.
            drawn: As for `fit`.
            light: The light.
            repeated: So many pixels at each side may repeat an edge.

        Returns:
            Root mean square of `outside`, in [0, 1]. A border of 2 pixels does not count, nor do
            repeated ones.
        """
        border = max(_BORDER, repeated)
        inside = self.outside(image, drawn, light)[border:-border, border:-border].ravel()
        return float(np.sqrt(inside @ inside / len(inside)))

    def outside(self, image: np.ndarray, drawn: np.ndarray, light: Light) -> np.ndarray:
        """Measure how far each number of a picture is outside the values that the reconstruction
        has, in this light, at the pixel and its eight neighbours.

        Args:
            image: uint8 (height, width, 3) rgb.
            drawn: As for `fit`.
            light: The light.

        Returns:
            float32 (height, width, 3), in [0, 1].
        """
        height, width = self._size
        lit = (drawn * light.gain + light.offset).clip(0.0, 1.0).reshape(height, 3 * width)
        seen = image.reshape(height, 3 * width) * np.float32(1.0 / 255.0)
        lowest, highest = _of_neighbours(np.minimum, lit), _of_neighbours(np.maximum, lit)
        found: np.ndarray = np.maximum(seen - highest, lowest - seen).clip(0.0)
        return found.reshape(height, width, 3)

    def _averaged(self, picture: np.ndarray) -> np.ndarray:
        """Means over squares, float32 (3, squares), of a picture (height, width, 3)."""
        height, width = self._size
        rows = self._rows @ picture.reshape(height, 3 * width).astype(np.float32)
        planes = rows.reshape(-1, width, 3).transpose(2, 0, 1) @ self._columns
        averaged: np.ndarray = planes.reshape(3, -1)
        return averaged


class CameraLighting:
    """Fits lights to the pictures of all cameras of a robot, each on its own. Not thread-safe.

    Args:
        image: The picture of one camera, or the joined picture of several.
    """

    def __init__(self, image: ImageSpec) -> None:
        self._tiles, self._size = image.tiles, (image.height, image.width, 3)
        self._lightings = [Lighting(tile.height, tile.width) for tile in self._tiles]

    def compare(
        self, image: np.ndarray, drawn: np.ndarray, repeated: Sequence[int] = ()
    ) -> tuple[Light, tuple[float, ...]]:
        """Find the light, and what it does not explain.

        Args:
            image: uint8 (height, width, 3) rgb.
            drawn: The reconstruction, float32 (height, width, 3), about in [0, 1].
            repeated: As for `Lighting.unexplained`, of each camera; empty: no edge is repeated.

        Returns:
            The light, and `Lighting.unexplained` of each camera.
        """
        lights, left = [], []
        repeated = repeated or [0] * len(self._tiles)
        for lighting, tile, edge in zip(self._lightings, self._tiles, repeated, strict=True):
            seen, known = (np.ascontiguousarray(tile.of(part)) for part in (image, drawn))
            light = lighting.fit(seen, known)
            lights.append(light)
            left.append(lighting.unexplained(seen, known, light, edge))
        return self._joined(lights), tuple(left)

    def outside(self, image: np.ndarray, drawn: np.ndarray, light: Light) -> np.ndarray:
        """Measure `Lighting.outside` of all cameras.

        Args:
            image: uint8 (height, width, 3) rgb.
            drawn: The reconstruction, float32 (height, width, 3), about in [0, 1].
            light: The light, from `compare`.

        Returns:
            float32 (height, width, 3), in [0, 1]; 0 in a border of 2 pixels around each picture.
        """
        found = np.zeros(self._size, np.float32)
        inside = np.s_[_BORDER:-_BORDER, _BORDER:-_BORDER]
        for lighting, tile in zip(self._lightings, self._tiles, strict=True):
            seen, known, gain = (
                np.ascontiguousarray(tile.of(part)) for part in (image, drawn, light.gain)
            )
            offset = light.offset if light.offset.ndim == 1 else tile.of(light.offset)
            own = Light(gain, offset, light.is_neutral)
            tile.of(found)[inside] = lighting.outside(seen, known, own)[inside]
        return found

    def _joined(self, lights: list[Light]) -> Light:
        if len(lights) == 1:
            return lights[0]
        gain, offset = np.ones(self._size, np.float32), np.zeros(self._size, np.float32)
        for light, tile in zip(lights, self._tiles, strict=True):
            if not light.is_neutral:
                tile.of(gain)[...], tile.of(offset)[...] = light.gain, light.offset
        return Light(gain, offset, is_neutral=all(light.is_neutral for light in lights))


def _means(size: int) -> np.ndarray:
    """The matrix that averages `size` numbers over cells, float32 (cells, size)."""
    cells = np.array_split(np.arange(size), max(1, size // _CELL))
    matrix = np.zeros((len(cells), size), np.float32)
    for row, cell in enumerate(cells):
        matrix[row, cell] = 1.0 / len(cell)
    return matrix


def _polynomials(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """All products of powers of both coordinates up to `_ORDER`, float32 (places, terms); the
    first is 1."""
    y, x = (part.ravel() for part in np.meshgrid(rows, columns, indexing="ij"))
    terms = [y**i * x**j for i in range(_ORDER + 1) for j in range(_ORDER + 1 - i)]
    return np.stack(terms, -1).astype(np.float32)


def _of_neighbours(function: np.ufunc, picture: np.ndarray) -> np.ndarray:
    """The smallest or largest number of the pixel and its neighbours; picture (height, 3 width)."""
    rows = picture.copy()
    function(rows[1:], picture[:-1], out=rows[1:])
    function(rows[:-1], picture[1:], out=rows[:-1])
    result = rows.copy()
    function(result[:, 3:], rows[:, :-3], out=result[:, 3:])
    function(result[:, :-3], rows[:, 3:], out=result[:, :-3])
    return result
