"""The sizes of a world model, and the kinds of dynamics that it can have."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from wm_mpc.model.dynamics import Dynamics, GruDynamics
from wm_mpc.model.transformer import TransformerDynamics
from wm_mpc.settings.build import build
from wm_mpc.settings.fields import SettingError, check, setting
from wm_mpc.spec import SpecError


def _gru(latent_size: int, action_size: int, gated: int, sizes: Architecture) -> Dynamics:
    return GruDynamics(latent_size, action_size, sizes.hidden, gated)


def _transformer(latent_size: int, action_size: int, gated: int, sizes: Architecture) -> Dynamics:
    return TransformerDynamics(
        latent_size, action_size, sizes.hidden, sizes.layers, sizes.heads, sizes.context, gated
    )


# Functions from latent size, action block size, number of gated coordinates and sizes to a
# dynamics. A new dynamics is one line here.
DYNAMICS: dict[str, Callable[[int, int, int, Architecture], Dynamics]] = {
    "gru": _gru,
    "transformer": _transformer,
}


ENCODERS = ("keypoints", "map", "vit")


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Sizes of the parts of a world model.

    Raises:
        SpecError: A size is not accepted.
    """

    keypoints: int = setting(
        8,
        "Points that the encoder of each camera finds in its picture; an encoder map finds two "
        "numbers in place of each",
        low=1,
    )
    encoder_width: int = setting(
        16, "Channels of the layers of the encoder, or of its head, a multiple of 4", low=4
    )
    decoder_width: int = setting(
        16, "Channels of the layers of the decoder, a multiple of 4", low=4
    )
    embedding: int = setting(
        8, "Largest number of coordinates in which the distance to a goal is measured", low=1
    )
    dynamics: str = setting("gru", "Kind of the dynamics", choices=tuple(DYNAMICS))
    hidden: int = setting(128, "Width of the dynamics", low=1)
    layers: int = setting(2, "Layers of the transformer", low=1)
    heads: int = setting(4, "Heads of the transformer", low=1)
    context: int = setting(
        5,
        "Number of model steps that the transformer looks back on, the present one included; more "
        "than horizon and history hold is never trained",
        "steps",
        low=1,
    )
    gate: bool = setting(True, "Let the scene change only as far as a learned gate opens")
    robot_points: int = setting(8, "Blobs with which the decoder draws the robot", low=1)
    robot_from_state: bool = setting(
        True,
        "Draw the robot from its measured state. Goals are compared by keypoints alone. So if the "
        "goal is a posture of the robot itself, and the state describes it completely, this must "
        "be false, or the keypoints do not see the robot",
    )
    proposals: int = setting(32, "Number of learned first plans; 0: none", low=0)
    proposal_steps: int = setting(5, "Model steps of each learned first plan", "steps", low=1)
    encoder: str = setting(
        "keypoints",
        "What the scene is made of: keypoints that a small network finds (keypoints) or the head "
        "of a frozen pretrained vision transformer (vit; needs vit_folder), or coarse feature "
        "maps, for scenes of many equal things (map)",
        choices=ENCODERS,
    )
    vit: str = setting("", "Description of the vision transformer; train fills this in")
    vit_patches: int = setting(
        8, "Patches of the vision transformer along the shorter side of a picture", low=1, high=64
    )
    pose_names: tuple[str, ...] = setting(
        (), "What is read out of a latent for pictures, such as x, y; train fills this in"
    )

    def __post_init__(self) -> None:
        try:
            check(self, "architecture.")
        except SettingError as error:
            raise SpecError(str(error)) from None
        for name in ("encoder_width", "decoder_width"):
            if getattr(self, name) % 4:
                raise SpecError(
                    f"architecture.{name} is {getattr(self, name)}; a multiple of 4 is needed"
                )
        if self.dynamics == "transformer" and self.hidden % self.heads:
            raise SpecError(
                f"architecture.hidden is {self.hidden}; a multiple of heads, {self.heads}, is "
                "needed"
            )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Architecture:
        """Read the sizes from a checkpoint.

        Args:
            data: Sizes by name.

        Raises:
            SpecError: A name is unknown, or a size is not accepted.
        """
        # Older checkpoints have no gate and no proposals, and do not mention them.
        try:
            return build(cls, {"gate": False, "proposals": 0, **data}, "architecture.")
        except SettingError as error:
            raise SpecError(str(error)) from None
