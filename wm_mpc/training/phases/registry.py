"""The phases of a training, in their order. A new phase is one file, and one entry here.

The phases above `dynamics` make what other runs can use: encoder, distance to a goal, first plans.
An entry with settings of its own makes the section of the training settings that has its name.
"""

from __future__ import annotations

from wm_mpc.training.phases.dynamics import DynamicsPhase
from wm_mpc.training.phases.embedding import EmbeddingPhase
from wm_mpc.training.phases.phase import Phase
from wm_mpc.training.phases.proposals import ProposalsPhase
from wm_mpc.training.phases.representation import RepresentationPhase

PHASES: dict[str, type[Phase]] = {
    "representation": RepresentationPhase,
    "embedding": EmbeddingPhase,
    "proposals": ProposalsPhase,
    "dynamics": DynamicsPhase,
}


def of_representation() -> tuple[str, ...]:
    """Names of the phases before `dynamics`."""
    names = tuple(PHASES)
    return names[: names.index(DynamicsPhase.name)]


def check_phases(phases: dict[str, type[Phase]]) -> None:
    """Check that phases fit together.

    Args:
        phases: Phases by name.

    Raises:
        TypeError: A phase is registered under another name, or has the random numbers of another.
    """
    streams: dict[int, str] = {}
    for name, phase in phases.items():
        if name != phase.name:
            raise TypeError(f"phase {phase.name} is registered as {name}; accepted: its own name")
        if phase.stream in streams:
            raise TypeError(
                f"phase {name}: stream is {phase.stream}, which phase {streams[phase.stream]} "
                f"has; accepted: a number of its own, such as {max(streams) + 1}"
            )
        streams[phase.stream] = name


check_phases(PHASES)
