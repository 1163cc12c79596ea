"""Settings of a training run, checked on construction; read from `config/train.yaml`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from wm_mpc.model.world_model import Architecture
from wm_mpc.settings.build import build, load_table
from wm_mpc.settings.fields import SettingError
from wm_mpc.synthesis.adversarial import AdversarialConfig
from wm_mpc.synthesis.online import OnlineConfig
from wm_mpc.synthesis.random_rollouts import RandomRolloutConfig

SYNTHESIS = ("random", "online", "adversarial")


class ConfigError(SettingError):
    """A training setting that is unknown or not accepted."""


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """All settings of a training run.

    Attributes:
        seed: Seed of all random numbers; 0 or more.
        representation_seed: Seed of all phases before `dynamics`; -1: `seed`.
        horizon: Model steps of the multi-step loss; 1 or more.
        history: Model steps of past observations that the dynamics sees, including the present
            one; 0: as in the dataset.
        episodes: Train on the first N episodes only; 0: all. The held-out episodes stay the same.
        representation_updates: Updates of the first phase (encoder, decoder and dynamics from
            pixels).
        representation_batch: Windows per update and process.
        representation_rate: Learning rate.
        prediction_weight: Weight of the latent prediction loss in the first phase; 0 or more.
        pixel_emphasis: Additional weight of pixels that differ from the mean image; 0 or more.
        embedding_updates: Updates of the second phase (distance to a goal).
        embedding_rate: Learning rate.
        embedding_lags: Times between two frames, control steps; each 1 or more.
        proposals_updates: Updates of the third phase (first plans).
        proposals_rate: Learning rate.
        dynamics_updates: Updates of the last phase (dynamics on finished latents, with synthesis).
        dynamics_batch: Windows per update and process.
        dynamics_rate: Learning rate.
        weight_decay: Weight decay of AdamW; 0 or more.
        ema: Decay of the moving average of the weights, 0 to below 1; 0: keep the last weights.
        whitening: How far the scene's principal components get equal variance, 0 (not) to 1
            (fully); see `readout.fit_scene_map`.
        validation: Share of the dataset, its last episodes, that is held out; above 0, below 0.9.
        checkpoint_interval: Time between two saved states, s; above 0.
        threads: Threads; 0: one per core.
        synthesis: Methods of data synthesis, out of `SYNTHESIS`.
        synthesis_share: Share of every dynamics batch that comes from synthesised rollouts, in
            equal parts from each method that has some; 0 to below 1. So every variant makes the
            same number of updates on the same number of windows.
        architecture: Sizes of the model.
        random: Settings of random rollouts.
        online: Settings of online rollouts.
        adversarial: Settings of adversarial perturbations.

    Raises:
        ConfigError: A value is not accepted.
    """

    seed: int = 0
    representation_seed: int = -1
    horizon: int = 5
    history: int = 0
    episodes: int = 0
    representation_updates: int = 1500
    representation_batch: int = 32
    representation_rate: float = 2e-3
    prediction_weight: float = 0.1
    pixel_emphasis: float = 20.0
    embedding_updates: int = 4000
    embedding_rate: float = 2e-3
    embedding_lags: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    proposals_updates: int = 3000
    proposals_rate: float = 1e-3
    dynamics_updates: int = 6000
    dynamics_batch: int = 256
    dynamics_rate: float = 1e-3
    weight_decay: float = 1e-4
    ema: float = 0.0
    whitening: float = 0.6
    validation: float = 0.05
    checkpoint_interval: float = 30.0
    threads: int = 0
    synthesis: tuple[str, ...] = SYNTHESIS
    synthesis_share: float = 0.5
    architecture: Architecture = dataclasses.field(default_factory=Architecture)
    random: RandomRolloutConfig = dataclasses.field(default_factory=RandomRolloutConfig)
    online: OnlineConfig = dataclasses.field(default_factory=OnlineConfig)
    adversarial: AdversarialConfig = dataclasses.field(default_factory=AdversarialConfig)

    def __post_init__(self) -> None:
        for name in ("horizon", "representation_updates", "representation_batch",
                     "embedding_updates", "proposals_updates", "dynamics_updates",
                     "dynamics_batch"):  # fmt: skip
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; at least 1 is needed")
        for name in ("representation_rate", "embedding_rate", "proposals_rate",
                     "dynamics_rate", "checkpoint_interval"):  # fmt: skip
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be positive")
        for name in ("seed", "history", "episodes", "threads", "prediction_weight",
                     "pixel_emphasis", "weight_decay"):  # fmt: skip
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must not be negative")
        if not 0.0 < self.validation < 0.9:
            raise ConfigError(f"validation is {self.validation}; accepted: above 0, below 0.9")
        for name in ("ema", "synthesis_share"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ConfigError(f"{name} is {getattr(self, name)}; accepted: 0, to below 1")
        if not 0.0 <= self.whitening <= 1.0:
            raise ConfigError(f"whitening is {self.whitening}; accepted: 0 to 1")
        lags = self.embedding_lags
        if not lags or any(not isinstance(lag, int) or lag < 1 for lag in lags):
            raise ConfigError(
                f"embedding_lags is {list(lags)}; accepted: some whole numbers of control steps, "
                "each at least 1"
            )
        unknown = sorted(set(self.synthesis) - set(SYNTHESIS))
        if unknown:
            raise ConfigError(f"unknown synthesis {unknown}; accepted: {', '.join(SYNTHESIS)}")

    @property
    def seed_of_representation(self) -> int:
        """Seed of all phases before `dynamics`."""
        return self.seed if self.representation_seed < 0 else self.representation_seed

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as nested tables."""
        return dataclasses.asdict(self)

    def representation_settings(self) -> dict[str, Any]:
        """Return the settings that decide the outcome of the phases before `dynamics`."""
        settings = {**self.to_dict(), "seed": self.seed_of_representation}
        return {name: value for name, value in settings.items() if name in _REPRESENTATION}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TrainConfig:
        """Build the settings from nested tables.

        Args:
            data: Values by name.

        Raises:
            ConfigError: An entry is unknown or not accepted; the text names it.
        """
        try:
            return build(cls, data)
        except SettingError as error:
            raise ConfigError(str(error)) from None

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str], **overrides: Any) -> TrainConfig:
        """Build the settings from a YAML file.

        Args:
            path: The file.
            **overrides: Entries that override the file.

        Raises:
            ConfigError: The file cannot be read, or an entry is unknown or not accepted.
        """
        try:
            data = load_table(path)
        except SettingError as error:
            raise ConfigError(str(error)) from None
        return cls.from_dict({**data, **overrides})


_REPRESENTATION = {
    "seed", "history", "validation", "architecture", "representation_updates", "weight_decay",
    "representation_batch", "representation_rate", "prediction_weight", "pixel_emphasis", "ema",
    "whitening", "embedding_updates", "embedding_rate", "embedding_lags",
    "proposals_updates", "proposals_rate",
}  # fmt: skip
