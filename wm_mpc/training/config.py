"""Settings of a training run, checked on construction; read from `config/train.yaml`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from wm_mpc.model.architecture import Architecture
from wm_mpc.settings.build import build, load_table, raised_as
from wm_mpc.settings.fields import SettingError, check, section, setting
from wm_mpc.synthesis.registry import METHODS, by_default
from wm_mpc.training.augmentation import AugmentationConfig
from wm_mpc.training.phases.registry import PHASES, of_representation

SYNTHESIS = by_default()  # of a training that does not name its methods


class ConfigError(SettingError):
    """A training setting that is unknown or not accepted."""


def _with_sections(kind: type) -> type:
    """A dataclass to be, with a section for each method of data synthesis, and for each phase that
    has settings of its own."""
    methods = {name: ("synthesis method", method.config) for name, method in METHODS.items()}
    phases = {name: ("phase", phase.settings) for name, phase in PHASES.items()}
    for name, (what, config) in [*methods.items(), *phases.items()]:
        if config is None:
            continue
        if name in kind.__annotations__:
            raise TypeError(f"{what} {name}: a training setting has that name already")
        kind.__annotations__[name] = config
        setattr(kind, name, section(config))
    return kind


@dataclasses.dataclass(frozen=True)
@_with_sections
class TrainConfig:
    """All settings of a training, with a section for each method of data synthesis, and for each
    phase that has settings of its own. Raises ConfigError when they are not accepted."""

    seed: int = setting(0, "Seed of all random numbers", low=0)
    representation_seed: int = setting(
        -1, "Seed of all phases before `dynamics`; below 0: the same as seed"
    )
    horizon: int = setting(5, "Model steps of the multi-step loss", "steps", low=1)
    history: int = setting(
        0,
        "Number of model steps that the dynamics sees, up to the present one; 0: as the dataset "
        "says",
        "steps",
        low=0,
    )
    episodes: int = setting(
        0,
        "Train only on the first episodes, this many; 0: on all. Held-out episodes do not count",
        low=0,
    )
    representation_updates: int = setting(
        1500, "Updates of phase 1: encoder, decoder and dynamics, from pixels", low=1
    )
    representation_starts: int = setting(
        1,
        "Short starts of phase 1 with different first weights; the one that draws held-out "
        "pictures best goes on",
        low=1,
    )
    representation_start_updates: int = setting(
        300, "Updates of each of several starts; those of the best one count", low=1
    )
    representation_batch: int = setting(
        32, "Windows of 3 frames in an update of phase 1, in each process", low=1
    )
    representation_rate: float = setting(2e-3, "Learning rate of phase 1", above=0)
    prediction_weight: float = setting(
        0.1, "Weight of the latent prediction loss in phase 1", low=0
    )
    pixel_emphasis: float = setting(
        20.0, "Extra weight of pixels that differ from the mean image", low=0
    )
    motion_weight: float = setting(
        0.0,
        "Weight of what pulls keypoints to pixels that differ from the mean image, in phase 1; 0: "
        "nothing does",
        low=0,
    )
    embedding_updates: int = setting(
        4000, "Updates of phase 2: the distance to a goal, from how far frames are apart", low=1
    )
    embedding_rate: float = setting(2e-3, "Learning rate of phase 2", above=0)
    embedding_lags: tuple[int, ...] = setting(
        (1, 2, 4, 8, 16, 32), "Times between two frames in phase 2", "control steps", low=1
    )
    proposals_updates: int = setting(3000, "Updates of phase 3: learned first plans", low=1)
    proposals_rate: float = setting(1e-3, "Learning rate of phase 3", above=0)
    dynamics_updates: int = setting(
        6000,
        "Updates of phase 4: the dynamics, on finished latents and with data synthesis",
        low=1,
    )
    dynamics_batch: int = setting(256, "Windows in an update of phase 4, in each process", low=1)
    dynamics_rate: float = setting(1e-3, "Learning rate of phase 4", above=0)
    weight_decay: float = setting(1e-4, "Weight decay of all phases", low=0)
    ema: float = setting(
        0.0,
        "Decay of the moving average of the weights that is kept; 0: the last weights",
        low=0,
        below=1,
    )
    whitening: float = setting(
        0.6,
        "How far the principal components of the scene are brought to equal variance; 0: not, 1: "
        "fully",
        "",
        0,
        1,
    )
    validation: float = setting(
        0.05, "Share of the episodes that is held out, the last ones", above=0, below=0.9
    )
    checkpoint_interval: float = setting(
        30.0, "Time between two saved states; a killed training loses at most this much", "s",
        above=0,
    )  # fmt: skip
    threads: int = setting(0, "Threads of PyTorch; 0: all cores", low=0)
    synthesis: tuple[str, ...] = setting(
        SYNTHESIS, "Methods of data synthesis, in any combination", choices=tuple(METHODS)
    )
    synthesis_share: float = setting(
        0.5,
        "Share of each batch of phase 4 that comes from synthesised rollouts, evenly from each "
        "method that has some",
        low=0,
        below=1,
    )
    vit_folder: str = setting(
        "",
        "Folder with a pretrained vision transformer, for architecture.encoder: vit; its weights "
        "become part of the checkpoint",
    )
    augmentation: AugmentationConfig = section(AugmentationConfig)
    architecture: Architecture = section(Architecture)

    def __post_init__(self) -> None:
        with raised_as(ConfigError):
            check(self)
        if self.architecture.vit:
            raise ConfigError(
                "architecture.vit is what train writes into a checkpoint; name a folder in "
                "vit_folder"
            )
        if (self.architecture.encoder == "vit") != bool(self.vit_folder):
            raise ConfigError(
                f"architecture.encoder is {self.architecture.encoder}, and vit_folder is "
                f"{self.vit_folder!r}; accepted: vit with the folder of a pretrained vision "
                "transformer, or keypoints or map without one"
            )
        if self.architecture.encoder == "map" and self.motion_weight > 0:
            raise ConfigError(
                f"motion_weight is {self.motion_weight}, and architecture.encoder is map, which "
                "has no keypoints to pull; accepted: motion_weight 0, or another encoder"
            )
        if not self.embedding_lags:
            raise ConfigError(
                "embedding_lags is []; accepted: some whole numbers of control steps, each at "
                "least 1"
            )

    def method(self, name: str) -> Any:
        """The settings of a method of data synthesis."""
        return getattr(self, name)

    def phase(self, name: str) -> Any:
        """The settings of a phase that has a section of its own; None for any other."""
        return None if PHASES[name].settings is None else getattr(self, name)

    def updates_of(self, phase: str) -> int:
        """The number of updates of a phase."""
        return int(self._of_phase(phase, "updates"))

    def rate_of(self, phase: str) -> float:
        """The learning rate of a phase."""
        return float(self._of_phase(phase, "rate"))

    def _of_phase(self, phase: str, name: str) -> Any:
        own = self.phase(phase)
        return getattr(self, f"{phase}_{name}") if own is None else getattr(own, name)

    @property
    def seed_of_representation(self) -> int:
        """Seed of all phases before `dynamics`."""
        return self.seed if self.representation_seed < 0 else self.representation_seed

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as nested tables."""
        return dataclasses.asdict(self)

    def deciding_settings(self) -> dict[str, Any]:
        """Return the settings as nested tables, without those that are switched off and that runs
        of older versions do not mention."""
        settings = self.to_dict()
        del settings["vit_folder"]  # what is in it decides; see `data_identity`
        if self.architecture.encoder != "vit":
            del settings["architecture"]["vit"], settings["architecture"]["vit_patches"]
        if self.architecture.encoder == "keypoints":
            del settings["architecture"]["encoder"]
        if not self.augmentation.is_on:
            del settings["augmentation"]
        if self.motion_weight == 0:
            del settings["motion_weight"]
        if self.representation_starts == 1:
            del settings["representation_starts"], settings["representation_start_updates"]
        return settings

    def representation_settings(self) -> dict[str, Any]:
        """Return the settings that decide the outcome of the phases before `dynamics`."""
        settings = {**self.deciding_settings(), "seed": self.seed_of_representation}
        deciding = {*_REPRESENTATION, *of_representation()}
        return {name: value for name, value in settings.items() if name in deciding}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TrainConfig:
        """Build the settings from nested tables.

        Args:
            data: Values by name.

        Raises:
            ConfigError: An entry is unknown or not accepted; the text names it.
        """
        with raised_as(ConfigError):
            return build(cls, data)

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str], **overrides: Any) -> TrainConfig:
        """Build the settings from a YAML file.

        Args:
            path: The file.
            **overrides: Entries that override the file.

        Raises:
            ConfigError: The file cannot be read, or an entry is unknown or not accepted.
        """
        with raised_as(ConfigError):
            data = load_table(path)
        return cls.from_dict({**data, **overrides})


_REPRESENTATION = {
    "seed", "history", "validation", "architecture", "representation_updates", "weight_decay",
    "representation_batch", "representation_rate", "prediction_weight", "pixel_emphasis", "ema",
    "whitening", "embedding_updates", "embedding_rate", "embedding_lags",
    "proposals_updates", "proposals_rate", "augmentation", "representation_starts",
    "representation_start_updates", "motion_weight",
}  # fmt: skip
