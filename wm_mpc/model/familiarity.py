"""How wrong a world model usually is, to notice when it does not know the scene.

`training/calibration.py` measures this on held-out recordings. The checkpoint keeps it.
`control/surprise.py` compares it with the errors while a robot runs.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from wm_mpc.model.world_model import WorldModel
from wm_mpc.spec import SpecError

ENOUGH = 100  # moments that the 99th percentile needs
_TELLING = 2.0  # a usual strange place as wrong as an object of 8 pixels that differs by 45 levels


@dataclasses.dataclass(frozen=True)
class Familiarity:
    """How wrong a model usually is: the 99th percentile of each error on held-out recordings.

    With fewer than `ENOUGH` moments, the values are larger than the largest error seen
    (`training/calibration.py`).

    Attributes:
        prediction: Error of a latent one model step ahead (`prediction_error`), above 0.
        image: Error of the reconstructed image (`image_error`), above 0.
        step: Distance that the scene covers in a model step, measured like the distance to a goal.
            Median over the steps in which something moved; 0 if nothing ever did.
        moments: Number of moments measured.
        data: Hash of the dataset.
        checkpoint: sha256 of the file to which these values were added; empty if they came with the
            training.
        unexplained: What light, a shift of a pixel and a slight blur do not explain in an image
            (`model/lighting.py`), measured also on images that are disturbed as in a real room; 0
            if nobody measured it.
        camera_images: `image` of each camera, if there are several; `image` is then the largest.
        camera_unexplained: `unexplained` of each camera, likewise; empty if nobody measured it.
        place_weight: Weight of the robot's measured place in the distance to a goal
            (`training/place_weight.py`); 0 if nobody measured it, or it is not needed.
        strange_place: Squared error, summed over its pixels, of the worst place of an image that
            has the form of an object (`training/strange_place.py`); 0 if there are no such places,
            None if nobody measured it on enough images.

    Raises:
        SpecError: A value is out of range.
    """

    prediction: float
    image: float
    step: float
    moments: int
    data: str = ""
    checkpoint: str = ""
    unexplained: float = 0.0
    camera_images: tuple[float, ...] = ()
    camera_unexplained: tuple[float, ...] = ()
    place_weight: float = 0.0
    strange_place: float | None = None

    def __post_init__(self) -> None:
        for name in ("camera_images", "camera_unexplained"):
            values = getattr(self, name)
            if not all(math.isfinite(value) and value > 0.0 for value in values):
                raise SpecError(f"familiarity.{name} is {values}; numbers above 0 are needed")
        for name in ("prediction", "image"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise SpecError(f"familiarity.{name} is {value}; a number above 0 is needed")
        for name in ("step", "unexplained", "place_weight", "strange_place"):
            value = getattr(self, name)
            if value is None:
                continue
            if not (math.isfinite(value) and value >= 0.0):
                raise SpecError(f"familiarity.{name} is {value}; a number of 0 or more is needed")
        if self.moments < 0:
            raise SpecError(f"familiarity.moments is {self.moments}; it must not be negative")

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes by name; those of cameras only if there are several, and no strange
        place if nobody measured it."""
        data = dataclasses.asdict(self)
        for name in ("camera_images", "camera_unexplained", "strange_place"):
            if data[name] is None or data[name] == ():
                del data[name]
        return data

    @property
    def tells_strange_places(self) -> bool:
        """Whether the model draws its scenes so well that a pale object differs from them."""
        return self.strange_place is not None and self.strange_place <= _TELLING

    @property
    def usual_images(self) -> tuple[float, ...]:
        """`image` of each camera, also if there is only one."""
        return self.camera_images or (self.image,)

    @property
    def usual_unexplained(self) -> tuple[float, ...]:
        """`unexplained` of each camera, also if there is only one; empty if nobody measured it."""
        return self.camera_unexplained or ((self.unexplained,) if self.unexplained else ())

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Familiarity:
        """Read what `to_dict` wrote.

        Args:
            data: The attributes by name.

        Raises:
            SpecError: An attribute is missing, or is not readable.
        """
        try:
            return cls(
                float(data["prediction"]), float(data["image"]), float(data["step"]),
                int(data["moments"]), str(data["data"]), str(data["checkpoint"]),
                float(data.get("unexplained", 0.0)),  # not in older files
                tuple(map(float, data.get("camera_images", ()))),
                tuple(map(float, data.get("camera_unexplained", ()))),
                float(data.get("place_weight", 0.0)),
                None if data.get("strange_place") is None else float(data["strange_place"]),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise SpecError(f"familiarity is not readable: {error!r}") from None


def prediction_error(predicted: Tensor, seen: Tensor) -> Tensor:
    """Root mean square difference of latents.

    Its unit is that of latents: 1 is about the spread of the data.

    Args:
        predicted: (..., latent size).
        seen: (..., latent size).

    Returns:
        (...).
    """
    return (predicted - seen).square().mean(-1).sqrt()


@torch.no_grad()
def image_error(model: WorldModel, images: Tensor, latents: Tensor) -> Tensor:
    """Root mean square difference between images and their reconstructions.

    The model cannot reconstruct an image that is unlike its data.

    Args:
        model: The world model.
        images: uint8 (batch, height, width, 3) rgb.
        latents: Their latents, (batch, latent size).

    Returns:
        (batch,), in [0, 1].
    """
    pixels = images.permute(0, 3, 1, 2).float() / 255.0
    return (model.decode(latents) - pixels).square().mean((1, 2, 3)).sqrt()


@torch.no_grad()
def image_errors(model: WorldModel, images: Tensor, latents: Tensor) -> Tensor:
    """Measure `image_error` in the picture of each camera.

    Args:
        model: The world model.
        images: As for `image_error`.
        latents: As for `image_error`.

    Returns:
        (batch, cameras), in [0, 1].
    """
    if not model.spec.image.cameras:
        return image_error(model, images, latents)[:, None]
    pixels = images.permute(0, 3, 1, 2).float() / 255.0
    squares = (model.decode(latents) - pixels).square()
    parts = [tile.of_planes(squares).mean((1, 2, 3)) for tile in model.spec.image.tiles]
    return torch.stack(parts, 1).sqrt()


def familiarity_notes(found: Familiarity | None) -> list[str]:
    """Return what people should know about a model's familiarity, one sentence each.

    Args:
        found: The familiarity; None if nobody measured it.
    """
    if found is None:
        return [
            "the checkpoint does not say how wrong the model usually is: images and predictions "
            "are not checked, and no goal counts as reached (calibrate adds it)"
        ]
    notes = []
    if found.step == 0.0:
        notes.append(
            "nothing moved in the held-out recordings, as the model sees them: no goal counts as "
            "reached"
        )
    if found.strange_place is None:
        notes.append(
            "how wrong the worst place of an image usually is was not measured (100 images are "
            "needed): pale and small objects in the way are not looked for (calibrate "
            "--only-missing adds it)"
        )
    elif not found.tells_strange_places:
        notes.append(
            f"the model draws some places of usual images too wrongly (strange_place "
            f"{found.strange_place:.1f}, up to {_TELLING:g} would do), so pale and small objects "
            "in the way are not looked for"
        )
    if found.moments < ENOUGH:
        notes.append(
            f"how wrong the model usually is was measured on only {found.moments} moments "
            f"({ENOUGH} are enough): with fewer moments, checks are laxer"
        )
    return notes


def usual_step(model: WorldModel) -> float:
    """Return how far the scene moves in a model step; 0 if the checkpoint does not say it.

    Args:
        model: The world model.
    """
    return 0.0 if model.familiarity is None else model.familiarity.step


def familiarity_complaint(model: WorldModel) -> str:
    """Name the checks that missing values switch off, for a status; empty if there are none.

    Args:
        model: The world model.
    """
    return "" if usual_step(model) > 0.0 else familiarity_notes(model.familiarity)[0]


def describe_familiarity(model: WorldModel) -> str:
    """Say on how many moments the familiarity was measured, and the weight of the place.

    Args:
        model: The world model.
    """
    found = model.familiarity
    if found is None:
        return "not measured"
    few = f", fewer than {ENOUGH}: checks are laxer" if found.moments < ENOUGH else ""
    weighs = f"; the place weighs {found.place_weight:.2g}" if found.place_weight > 0.0 else ""
    return f"measured on {found.moments} moments{few}{weighs}"


def checkpoint_complaint(model: WorldModel) -> str:
    """Name everything that a checkpoint lacks, for a status; empty if it lacks nothing.

    Args:
        model: The world model.
    """
    return "; ".join(filter(None, (familiarity_complaint(model), angles_complaint(model))))


def angles_complaint(model: WorldModel) -> str:
    """Name the entries that wrap although the checkpoint does not know it, for a status.

    Args:
        model: The world model.

    Returns:
        A sentence; empty if there are none.
    """
    names = model.spec.state.unnamed_angles
    if not names:
        return ""
    return (
        f"the checkpoint does not know that {', '.join(names)} is an angle, because it was made "
        "before angles were known: plans across +-pi go the long way round (train again)"
    )
