"""Disturb the pictures of a training, so that the model does not mind them in a real room.

Phase `representation` sees disturbed inputs, and reconstructs the clean pictures. Later phases and
the calibration work on latents, some of which come from disturbed pictures. The disturbances
themselves are in `data/disturbances.py`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from wm_mpc.data import disturbances
from wm_mpc.settings.fields import check, setting
from wm_mpc.spec import Tile

_STREAM = 77  # of random numbers, so that no phase draws the same ones


@dataclasses.dataclass(frozen=True)
class AugmentationConfig:
    """The settings `augmentation.*`. A strength of 0 leaves its disturbance out.

    Raises:
        SettingError: A setting is not accepted.
    """

    share: float = setting(0.0, "Share of the pictures that are disturbed; 0: none", low=0, high=1)
    light: float = setting(
        0.35, "Largest change of the light: factors from 1 / (1 + this) to 1 + this", low=0, high=3
    )
    offset: float = setting(12.0, "Largest offset", "grey levels", 0, 64)
    colour: float = setting(
        1.3, "Largest strength of warm or cold light (1: 10 % more red, 20 % less blue)", "", 0, 4
    )
    gamma: float = setting(
        0.25, "Largest change of gamma: exponents from 1 / (1 + this) to 1 + this", low=0, high=2
    )
    gradient: float = setting(0.35, "Largest share of light that is missing at one side", "", 0, 1)
    shadow: float = setting(0.4, "Largest share of light that is missing in a shadow", "", 0, 1)
    blur: float = setting(1.2, "Largest deviation of blur", "pixels", 0, 5)
    noise: float = setting(5.0, "Largest deviation of noise", "grey levels", 0, 64)
    jpeg: int = setting(
        40, "Lowest quality of JPEG compression; 100: no compression", low=1, high=100
    )
    shift: int = setting(2, "Largest shift of the picture", "pixels", 0, 16)
    patch: float = setting(14.0, "Largest foreign object", "pixels", 0, 64)
    each: float = setting(
        0.25, "Share of the disturbed pictures with blur, and likewise with noise, JPEG, a shift, "
        "a shadow or a foreign object", low=0, high=1,
    )  # fmt: skip

    def __post_init__(self) -> None:
        check(self, "augmentation.")

    @property
    def is_on(self) -> bool:
        """Whether any picture is disturbed."""
        return self.share > 0.0


class Augmentation:
    """Draws disturbances and applies them.

    Args:
        config: The settings.
        tiles: Where the picture of each camera is; each camera has disturbances of its own. Empty
            for one camera.
    """

    def __init__(self, config: AugmentationConfig, tiles: Sequence[Tile] = ()) -> None:
        self._config = config
        self._tiles = tiles

    def draw(self, rng: np.random.Generator) -> tuple[disturbances.Disturbance, ...]:
        """Draw what happens to a disturbed picture, in the order of light, lens and sensor.

        Args:
            rng: Random numbers.
        """
        c = self._config
        drawn = [
            ("light", _factor(rng, c.light)),
            ("warm", rng.uniform(-c.colour, c.colour)),
            ("gamma", _factor(rng, c.gamma)),
            ("gradient", rng.uniform(0.0, c.gradient)),
            ("offset", rng.uniform(-c.offset, c.offset)),
        ]
        sometimes = [
            ("shadow", rng.uniform(0.0, c.shadow)),
            ("patch", rng.uniform(0.4 * c.patch, c.patch)),
            ("shift", int(rng.integers(1, c.shift + 1)) if c.shift else 0),
            ("blur", rng.uniform(0.3 * c.blur, c.blur)),
            ("noise", rng.uniform(0.0, c.noise)),
            ("jpeg", int(rng.integers(c.jpeg, 101))),
        ]
        chosen = rng.random(len(sometimes)) < c.each
        drawn += [entry for entry, is_chosen in zip(sometimes, chosen, strict=True) if is_chosen]
        return tuple(
            disturbances.Disturbance(name, strength)
            for name, strength in drawn
            if strength != disturbances.KINDS[name].neutral
        )

    def disturbed(self, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Disturb a share of groups of pictures. All pictures of a group share light and camera.

        Args:
            images: uint8 (groups, ..., height, width, 3) rgb.
            rng: Random numbers.

        Returns:
            A copy with disturbed pictures; `images` itself if the augmentation is off.
        """
        if not self._config.is_on:
            return images
        result = np.array(images)
        for group in np.flatnonzero(rng.random(len(images)) < self._config.share):
            if len(self._tiles) < 2:
                result[group] = self._one(result[group], rng)
                continue
            for tile in self._tiles:
                part = tile.of(result[group])
                part[...] = self._one(np.ascontiguousarray(part), rng)
        return result

    def _one(self, pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Disturb pictures of one camera, all in the same way."""
        chain = self.draw(rng)
        seed = int(rng.integers(2**31))
        return disturbances.Disturber(chain, seed)(pictures)


class AugmentedPictures:
    """Pictures, some of them disturbed. What happens to a picture depends on its number only.

    Args:
        images: uint8 (pictures, height, width, 3) rgb, or anything that is indexed like it.
        config: The settings.
        seed: Seed of all disturbances.
        tiles: As for `Augmentation`.
    """

    def __init__(
        self, images: Any, config: AugmentationConfig, seed: int, tiles: Sequence[Tile] = ()
    ) -> None:
        self._images, self._config, self._seed = images, config, seed
        self._augmentation = Augmentation(dataclasses.replace(config, share=1.0), tiles)
        rng = np.random.default_rng([seed, _STREAM])
        self._is_disturbed = rng.random(len(images)) < config.share

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, chosen: slice | np.ndarray) -> np.ndarray:
        """Return a copy of pictures.

        Args:
            chosen: Their numbers.

        Returns:
            uint8 (n, height, width, 3) rgb.
        """
        pictures = np.array(self._images[chosen])
        numbers = np.arange(len(self))[chosen]
        for place in np.flatnonzero(self._is_disturbed[numbers]):
            rng = np.random.default_rng([self._seed, _STREAM, int(numbers[place])])
            pictures[place] = self._augmentation.disturbed(pictures[place][None], rng)[0]
        return pictures


def augmented(
    images: Any, config: AugmentationConfig, seed: int, tiles: Sequence[Tile] = ()
) -> Any:
    """Disturb the pictures of a recording for phases that work on latents.

    Each picture has its own light, and others keep theirs. So neither the distance to a goal nor
    the dynamics can rely on the light.

    Args:
        images: As for `AugmentedPictures`.
        config: The settings.
        seed: Seed of all disturbances.
        tiles: As for `Augmentation`.

    Returns:
        `AugmentedPictures`; `images` itself if the augmentation is off.
    """
    return AugmentedPictures(images, config, seed, tiles) if config.is_on else images


def _factor(rng: np.random.Generator, change: float) -> float:
    """A factor from 1 / (1 + change) to 1 + change, as often below 1 as above."""
    reach = math.log1p(change)
    return math.exp(rng.uniform(-reach, reach))
