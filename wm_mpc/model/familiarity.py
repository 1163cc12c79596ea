"""How wrong a world model usually is, so that one can tell when it is out of its depth.

Measured on held-out recordings (`training/calibration.py`), kept in the checkpoint, and compared
with what happens while a robot runs (`control/surprise.py`).
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

ENOUGH = 100  # moments, to tell what 99 of 100 stay below


@dataclasses.dataclass(frozen=True)
class Familiarity:
    """Errors that 99 of 100 held-out recorded moments stay below; all above 0. Where fewer than
    `ENOUGH` moments were held out, more than the largest error seen (`training/calibration.py`).

    prediction: of a latent one model step ahead, `prediction_error`. image: of the redrawn camera
    image, `image_error`. step: the distance, as goals are compared, that the scene covers in a
    model step, median of those in which something moved; 0 where nothing ever did. moments: how
    many were looked at. data: hash of the dataset. checkpoint: sha256 of the file these numbers
    were added to; empty where they came with the training.
    """

    prediction: float
    image: float
    step: float
    moments: int
    data: str = ""
    checkpoint: str = ""

    def __post_init__(self) -> None:
        for name in ("prediction", "image"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise SpecError(f"familiarity.{name} is {value}; a number above 0 is needed")
        if not (math.isfinite(self.step) and self.step >= 0.0):
            raise SpecError(f"familiarity.step is {self.step}; a number of 0 or more is needed")
        if self.moments < 0:
            raise SpecError(f"familiarity.moments is {self.moments}; it must not be negative")

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Familiarity:
        """Inverse of `to_dict`. Raises SpecError."""
        try:
            return cls(
                float(data["prediction"]), float(data["image"]), float(data["step"]),
                int(data["moments"]), str(data["data"]), str(data["checkpoint"]),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise SpecError(f"familiarity is not readable: {error!r}") from None


def prediction_error(predicted: Tensor, seen: Tensor) -> Tensor:
    """Root mean square difference of latents (..., latent size) -> (...); its unit is that of
    latents, in which one is about the spread of the data."""
    return (predicted - seen).square().mean(-1).sqrt()


@torch.no_grad()
def image_error(model: WorldModel, images: Tensor, latents: Tensor) -> Tensor:
    """Root mean square difference between images, uint8 (batch, height, width, 3), and what the
    model redraws from their latents (batch, latent size) -> (batch,), in [0, 1]. A picture like
    none in the data cannot be redrawn."""
    pixels = images.permute(0, 3, 1, 2).float() / 255.0
    return (model.decode(latents) - pixels).square().mean((1, 2, 3)).sqrt()


def familiarity_notes(found: Familiarity | None) -> list[str]:
    """What a person should know about such numbers, a sentence each; none where all is well."""
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
    if found.moments < ENOUGH:
        notes.append(
            f"how wrong the model usually is was measured on only {found.moments} moments "
            f"({ENOUGH} are enough): checks are the laxer, the fewer there are"
        )
    return notes


def familiarity_complaint(model: WorldModel) -> str:
    """Which checks a model's missing numbers switch off, for a status; empty where none are."""
    found = model.familiarity
    if found is None or found.step == 0.0:
        return familiarity_notes(found)[0]
    return ""


def describe_familiarity(model: WorldModel) -> str:
    """What the model's numbers were measured on, for diagnostics."""
    found = model.familiarity
    if found is None:
        return "not measured"
    few = f", fewer than {ENOUGH}: checks are laxer" if found.moments < ENOUGH else ""
    return f"measured on {found.moments} moments{few}"


def checkpoint_complaint(model: WorldModel) -> str:
    """All that a model's checkpoint lacks, for a status; empty where it lacks nothing."""
    return "; ".join(filter(None, (familiarity_complaint(model), angles_complaint(model))))


def angles_complaint(model: WorldModel) -> str:
    """Which joints turn round without the checkpoint knowing it, for a status; empty for none."""
    names = model.spec.state.unnamed_angles
    if not names:
        return ""
    return (
        f"{', '.join(names)} is a number on a line for this checkpoint, made before angles were "
        "known: plans across +-pi go the long way round (train again)"
    )
