"""Where a training runs: which processor, how many processes, what precision.

Lightning Fabric does the work; it is slow to import, so only a run that starts imports it.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from lightning_fabric import Fabric

ACCELERATORS = ("auto", "cpu", "gpu")
PRECISIONS = ("32-true", "bf16-mixed")


class ComputeError(RuntimeError):
    """A processor that this machine does not have."""


@dataclasses.dataclass(frozen=True)
class Compute:
    """accelerator: one of `ACCELERATORS`; auto takes a GPU where there is one. devices: processes
    on this machine, each with a GPU of its own or a share of the cores. nodes: machines; each is
    given the same command, with MASTER_ADDR, MASTER_PORT and NODE_RANK in its environment and the
    dataset and the run directory on storage they share. precision: one of `PRECISIONS`,
    of the dynamics' matrix products in phase `dynamics`; bf16-mixed is for hardware that has it,
    which for CPUs means AVX-512 BF16 or AMX. Measured on an AMD EPYC with the former: 38 instead of
    102 ms for an update of `push_t`'s dynamics (hidden 256), with losses equal to three digits. The
    other phases stay in single precision: pixels gained 15 % only, and distances need the digits.
    """

    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    precision: str = "32-true"

    def __post_init__(self) -> None:
        for name, accepted in (("accelerator", ACCELERATORS), ("precision", PRECISIONS)):
            if getattr(self, name) not in accepted:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; accepted: {', '.join(accepted)}"
                )
        for name in ("devices", "nodes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; at least 1 is needed")

    @property
    def processes(self) -> int:
        """In all, on all machines."""
        return self.devices * self.nodes

    def launch(self) -> Fabric:
        """Start the other processes, which run the same program from its beginning, and return
        what joins them; in the same process always the same. Raises ComputeError when the machine
        lacks what is asked for."""
        return _launch(self)


@functools.cache
def _launch(compute: Compute) -> Fabric:
    from lightning_fabric import Fabric
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    try:
        fabric = Fabric(
            accelerator=compute.accelerator,
            devices=compute.devices,
            num_nodes=compute.nodes,
            strategy="ddp" if compute.processes > 1 else "auto",
        )
    except (MisconfigurationException, RuntimeError) as error:
        raise ComputeError(
            f"accelerator {compute.accelerator} with devices {compute.devices} is not to be had "
            f"here: {error}"
        ) from None
    fabric.launch()
    return fabric


def in_any_process(fabric: Fabric, condition: Any) -> bool:
    """Whether a condition holds in one of the processes; the same answer in all of them."""
    if fabric.world_size == 1:
        return bool(condition)
    flag = torch.tensor(float(condition), device=fabric.device)
    total: Any = fabric.all_reduce(flag, reduce_op="sum")
    return bool(total > 0)
