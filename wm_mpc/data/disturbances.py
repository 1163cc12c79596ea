"""Disturb pictures as a real room does: light, lens, camera, things that do not belong there.

Training (`training/augmentation.py`), calibration and `evaluate --disturb` share these functions,
for simulated and recorded pictures alike. Each takes uint8 pictures (..., height, width, 3) rgb and
returns new ones of the same shape. All pictures of a call share what was drawn (the place of a
shadow, say), except for noise. The same generator state gives the same pictures.
"""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Callable

import numpy as np
from PIL import Image

Function = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
NONE = "none"
_WARM = np.array([0.1, 0.0, -0.2], np.float32)  # what warm:1 adds to the gain of red, green, blue
_LENS = np.array([52, 40, 34], np.float32)  # colour of a finger or a cap before the lens
_EDGE = 0.08  # half width of the soft edge of a shadow, in widths of the picture
_AXES = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])


class DisturbanceError(ValueError):
    """A disturbance is unknown, or its strength is not accepted; the text says what is."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of disturbance.

    Attributes:
        apply: Disturbs pictures, by strength and generator.
        neutral: Strength that changes nothing, or least.
        low: Smallest accepted strength.
        high: Largest accepted strength.
        text: What the strength means, for people.
        is_whole: Whether only whole numbers are accepted.
        flickers: Whether each picture of a stream is disturbed differently.
        keeps_clear: Whether it must be where nothing moves. Only `evaluate` knows where that is.
    """

    apply: Function
    neutral: float
    low: float
    high: float
    text: str
    is_whole: bool = False
    flickers: bool = False
    keeps_clear: bool = False


def light(images: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    """Multiply the light by `factor`, 1: as it is."""
    return _rounded(images * np.float32(factor))


def offset(images: np.ndarray, levels: float, rng: np.random.Generator) -> np.ndarray:
    """Add `levels` grey levels (haze, black level), 0: none."""
    return _rounded(images + np.float32(levels))


def warm(images: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Colour the light: 1 multiplies red by 1.1 and blue by 0.8, -1 by 0.9 and 1.2; 0: as it is."""
    return _rounded(images * (1.0 + np.float32(strength) * _WARM))


def gamma(images: np.ndarray, exponent: float, rng: np.random.Generator) -> np.ndarray:
    """Raise brightness to the power `exponent`: above 1 darkens middle tones; 1: as it is."""
    table = _rounded(255.0 * (np.arange(256) / 255.0) ** exponent)
    return table[images]


def gradient(images: np.ndarray, depth: float, rng: np.random.Generator) -> np.ndarray:
    """Let the light fall off evenly across the picture, in a random direction.

    depth: Share of the light that is missing at the far end.
    """
    place = _across(images.shape[-3:-1], rng)
    return _rounded(images * (1.0 - np.float32(depth) * place)[..., None])


def shadow(images: np.ndarray, depth: float, rng: np.random.Generator) -> np.ndarray:
    """Lay a shadow with a soft edge over a part of the picture, from a random side.

    depth: Share of the light that is missing in the shadow.
    """
    place = _across(images.shape[-3:-1], rng) - rng.uniform(0.3, 0.7)
    inside = 1.0 / (1.0 + np.exp(-place / (0.5 * _EDGE)))
    return _rounded(images * (1.0 - np.float32(depth) * inside.astype(np.float32))[..., None])


def blur(images: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Blur by a Gaussian of `sigma` pixels, 0: not."""
    if sigma <= 0.0:
        return images.copy()
    reach = max(1, math.ceil(3.0 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2).astype(np.float32)
    weights /= weights.sum()
    blurred = images.astype(np.float32)
    for axis in (-3, -2):
        size = blurred.shape[axis]
        steps = range(-reach, reach + 1)
        parts = [np.take(blurred, np.clip(np.arange(size) + k, 0, size - 1), axis) for k in steps]
        blurred = sum(weight * part for weight, part in zip(weights, parts, strict=True))
    return _rounded(blurred)


def noise(images: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """Add independent noise to every number, `deviation` in grey levels, 0: none."""
    return _rounded(images + deviation * rng.standard_normal(images.shape, np.float32))


def jpeg(images: np.ndarray, quality: float, rng: np.random.Generator) -> np.ndarray:
    """Compress as JPEG of this `quality` and back; 100 changes least."""
    flat = images.reshape(-1, *images.shape[-3:])
    return np.stack([_through_jpeg(image, round(quality)) for image in flat]).reshape(images.shape)


def shift(images: np.ndarray, pixels: float, rng: np.random.Generator) -> np.ndarray:
    """Move the picture by whole `pixels` to a random one of four sides; edges are repeated."""
    down, right = (round(pixels) * _AXES[rng.integers(len(_AXES))]).tolist()
    height, width = images.shape[-3:-1]
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - right, 0, width - 1)
    return np.ascontiguousarray(images[..., rows[:, None], columns, :])


def patch(images: np.ndarray, size: float, rng: np.random.Generator) -> np.ndarray:
    """Put a foreign object of `size` pixels somewhere: a disc or a box, in one random colour."""
    height, width = images.shape[-3:-1]
    rows, columns = np.mgrid[:height, :width] + 0.5
    half = 0.5 * size
    middle = rng.uniform((half, half), (max(half, height - half), max(half, width - half)))
    down, right = rows - middle[0], columns - middle[1]
    is_disc = rng.random() < 0.5
    far = np.hypot(down, right) if is_disc else np.maximum(np.abs(down), np.abs(right))
    disturbed = images.copy()
    disturbed[..., far < half, :] = rng.integers(0, 256, 3, np.uint8)
    return disturbed


def covered(images: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Cover the lens: 1 shows only what covers it, 0.5 half of each."""
    return _rounded((1.0 - share) * images.astype(np.float32) + share * _LENS)


def dark(images: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Switch lights off: `share` of the light is missing, and the sensor's noise shows."""
    left = images * np.float32(1.0 - share)
    return _rounded(left + 2.0 * share * rng.standard_normal(images.shape, np.float32))


KINDS: dict[str, Kind] = {
    "light": Kind(light, 1.0, 0.0, 4.0, "factor on the light"),
    "offset": Kind(offset, 0.0, -128.0, 128.0, "grey levels added"),
    "warm": Kind(warm, 0.0, -4.0, 4.0, "colour: 1 is 10 % more red and 20 % less blue"),
    "gamma": Kind(gamma, 1.0, 0.2, 5.0, "exponent of brightness"),
    "gradient": Kind(gradient, 0.0, 0.0, 1.0, "share of light missing at one side"),
    "shadow": Kind(shadow, 0.0, 0.0, 1.0, "share of light missing in a part of the picture"),
    "blur": Kind(blur, 0.0, 0.0, 10.0, "deviation in pixels"),
    "noise": Kind(noise, 0.0, 0.0, 128.0, "deviation in grey levels", flickers=True),
    "jpeg": Kind(jpeg, 100.0, 1.0, 100.0, "quality of the compression", is_whole=True),
    "shift": Kind(shift, 0.0, 0.0, 32.0, "pixels to a random side", is_whole=True),
    "patch": Kind(patch, 0.0, 0.0, 64.0, "size of a foreign object in pixels"),
    "beside": Kind(
        patch,
        0.0,
        0.0,
        64.0,
        "size of a foreign object beside the way in pixels; without +",
        keeps_clear=True,
    ),
    "covered": Kind(covered, 0.0, 0.0, 1.0, "share of the lens's view that is covered"),
    "dark": Kind(dark, 0.0, 0.0, 1.0, "share of the light that is off", flickers=True),
}


@dataclasses.dataclass(frozen=True)
class Disturbance:
    """A kind and its strength.

    Attributes:
        name: One of `KINDS`.
        strength: In the kind's range.

    Raises:
        DisturbanceError: The name or the strength is not accepted.
    """

    name: str
    strength: float

    def __post_init__(self) -> None:
        kind = KINDS.get(self.name)
        if kind is None:
            raise DisturbanceError(
                f"disturbance {self.name!r} is unknown; accepted: {', '.join(KINDS)}"
            )
        fits = math.isfinite(self.strength) and kind.low <= self.strength <= kind.high
        if not fits or (kind.is_whole and self.strength != round(self.strength)):
            raise DisturbanceError(
                f"disturbance {self.name} is {self.strength:g}; accepted: {_range(kind)}"
            )

    def __str__(self) -> str:
        return f"{self.name}:{self.strength:g}"


def parse_disturbances(text: str) -> tuple[Disturbance, ...]:
    """Read what happens to one picture, such as "light:0.8" or "light:0.8+blur:1".

    Args:
        text: Names and strengths; "none" alone stands for an undisturbed picture.

    Raises:
        DisturbanceError: A part is not accepted.
    """
    parts = [part.strip() for part in text.split("+")]
    if parts == [NONE]:
        return ()
    if NONE in parts:
        raise DisturbanceError(f"disturbance {text!r}: {NONE} stands alone, without +")
    found = tuple(_parsed(part) for part in parts)
    if len(found) > 1 and any(KINDS[each.name].keeps_clear for each in found):
        raise DisturbanceError(f"disturbance {text!r}: beside stands alone, without +")
    return found


def _parsed(text: str) -> Disturbance:
    name, _, value = text.partition(":")
    if name in KINDS and not value.strip():
        raise DisturbanceError(
            f"disturbance {text!r} has no strength; accepted: {name}:STRENGTH, "
            f"{_range(KINDS[name])}"
        )
    if name not in KINDS:
        raise DisturbanceError(
            f"disturbance {text!r} is unknown; accepted: {NONE}, or NAME:STRENGTH with NAME one of "
            f"{', '.join(KINDS)}, several joined by +"
        )
    try:
        strength = float(value)
    except ValueError:
        raise DisturbanceError(
            f"disturbance {name} is {value!r}; accepted: {_range(KINDS[name])}"
        ) from None
    return Disturbance(name, strength)


def _range(kind: Kind) -> str:
    number = "a whole number" if kind.is_whole else "a number"
    return f"{number} from {kind.low:g} to {kind.high:g} ({kind.text})"


def describe_kinds() -> list[str]:
    """Return a line on each kind, for people: name, range and meaning."""
    return [
        f"{name}:{kind.low:g}..{kind.high:g}  {kind.text}; {kind.neutral:g} changes "
        f"{'least' if name == 'jpeg' else 'nothing'}"
        for name, kind in KINDS.items()
    ]


class Disturber:
    """Disturbs a stream of pictures: what stands still in a room stays, what flickers does not.

    Args:
        disturbances: What happens to each picture, in this order.
        seed: Where shadows and objects are, and the random numbers of noise.
    """

    def __init__(self, disturbances: tuple[Disturbance, ...], seed: int | list[int] = 0) -> None:
        self._disturbances = disturbances
        self._seed = [seed] if isinstance(seed, int) else list(seed)
        self._flicker = np.random.default_rng([*self._seed, len(KINDS)])

    @classmethod
    def of(cls, text: str, seed: int | list[int] = 0) -> Disturber:
        """Read the disturbances from a text; see `parse_disturbances`.

        Args:
            text: Names and strengths.
            seed: As for the class.

        Raises:
            DisturbanceError: A part is not accepted.
        """
        return cls(parse_disturbances(text), seed)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Disturb pictures.

        Args:
            images: uint8 (..., height, width, 3) rgb.

        Returns:
            New pictures of the same shape; the same ones if nothing happens to them.
        """
        for number, disturbance in enumerate(self._disturbances):
            kind = KINDS[disturbance.name]
            fixed = np.random.default_rng([*self._seed, number])
            rng = self._flicker if kind.flickers else fixed
            images = kind.apply(images, disturbance.strength, rng)
        return images


def _rounded(values: np.ndarray) -> np.ndarray:
    rounded: np.ndarray = (values + np.float32(0.5)).clip(0.0, 255.0).astype(np.uint8)
    return rounded


def _across(size: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """How far each pixel is along a random direction, float32 (height, width), from 0 to 1."""
    rows, columns = (np.linspace(-1.0, 1.0, count, dtype=np.float32) for count in size)
    angle = rng.uniform(0.0, 2.0 * math.pi)
    place = math.sin(angle) * rows[:, None] + math.cos(angle) * columns
    reach = abs(math.sin(angle)) + abs(math.cos(angle))
    across: np.ndarray = (0.5 + 0.5 * place / reach).astype(np.float32)
    return across


def _through_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))
