"""Settings and errors of fine-tuning."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

PARTS = ("dynamics", "all")
Progress = Callable[[str, int, int, dict[str, float]], None]
FEWEST_WINDOWS = 8


class FineTuneError(RuntimeError):
    """The data are too few, or the training diverged."""


@dataclasses.dataclass(frozen=True)
class FineTuneConfig:
    """Settings of fine-tuning.

    Attributes:
        parts: "dynamics", or "all": also the camera's place and the decoder.
        updates: Updates of the dynamics; 1 or more.
        batch: Windows in an update; 1 or more.
        rate: Learning rate of the dynamics.
        horizon: Model steps of the multi-step loss; 1 or more.
        pictures: Updates of the decoder; 1 or more.
        replay_share: Share of a batch that comes from the first recordings, if they are given; 0
            to below 1.
        keep: Weight of the first dynamics in the average; 0 to below 1.
        margin: The new model is accepted if its held-out error exceeds the current one by at most
            this share.
        seed: Seed of all random numbers.

    Raises:
        ValueError: A value is not accepted.
    """

    parts: str = "dynamics"
    updates: int = 400
    batch: int = 128
    rate: float = 5e-4
    horizon: int = 4
    pictures: int = 300
    replay_share: float = 0.25
    keep: float = 0.5
    margin: float = 0.02
    seed: int = 0

    def __post_init__(self) -> None:
        if self.parts not in PARTS:
            raise ValueError(f"parts is {self.parts!r}; accepted: {', '.join(PARTS)}")
        for name in ("updates", "batch", "horizon", "pictures"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; at least 1 is needed")
        for name in ("replay_share", "keep"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}; accepted: 0 to below 1")
