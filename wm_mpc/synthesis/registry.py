"""The methods of data synthesis by name. A new method is one file, and one entry here.

An entry makes the section of the training settings that has its name, a choice of `synthesis`, and
a variant of `ablate`.
"""

from __future__ import annotations

from wm_mpc.synthesis import adversarial, online, random_rollouts
from wm_mpc.synthesis.method import Method, Perturbation, RolloutMethod

# Replays take their share of a batch in this order.
METHODS: dict[str, Method] = {
    "random": random_rollouts.METHOD,
    "online": online.METHOD,
    "adversarial": adversarial.METHOD,
}


def by_default() -> tuple[str, ...]:
    """Names of the methods of a training that names none."""
    return tuple(name for name, method in METHODS.items() if method.by_default)


def rollout_methods() -> dict[str, RolloutMethod]:
    """Those that execute something in the simulator."""
    return {name: m for name, m in METHODS.items() if isinstance(m, RolloutMethod)}


def perturbations() -> dict[str, Perturbation]:
    """Those that change inputs."""
    return {name: m for name, m in METHODS.items() if isinstance(m, Perturbation)}
