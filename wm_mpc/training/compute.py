"""Where a training runs: device, number of processes, and precision.

Lightning Fabric connects several processes and finds GPUs. It is slow to import, so one process on
the processor does without it (`one_process.py`).
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
from typing import TYPE_CHECKING, Any, TypeAlias

import torch

from wm_mpc.training.one_process import OneProcess

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    Processes: TypeAlias = Fabric | OneProcess

ACCELERATORS = ("auto", "cpu", "gpu")
PRECISIONS = ("32-true", "bf16-mixed")


class ComputeError(RuntimeError):
    """A device that this machine does not have."""


@dataclasses.dataclass(frozen=True)
class Compute:
    """Where a training runs.

    With bf16-mixed, only the matrix products of the dynamics in phase `dynamics` are faster. On an
    AMD EPYC with AVX-512 BF16, an update of `push_t`'s dynamics (hidden 256) took 38 instead of
    102 ms, with losses equal to three digits. The other phases stay in single precision: pixels
    gained only 15 %, and distances need the digits.

    Attributes:
        accelerator: One of `ACCELERATORS`; "auto" uses a GPU if there is one.
        devices: Processes on this machine, each with its own GPU or a share of the cores; 1 or
            more.
        nodes: Machines; 1 or more. Each runs the same command with MASTER_ADDR, MASTER_PORT and
            NODE_RANK in its environment, and with dataset and run directory on shared storage.
        precision: One of `PRECISIONS`; "bf16-mixed" needs hardware support, on CPUs AVX-512 BF16
            or AMX.

    Raises:
        ValueError: A value is not accepted.
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
        """Number of processes on all machines."""
        return self.devices * self.nodes

    def launch(self) -> Processes:
        """Start the other processes, which run the same program from the beginning.

        Returns:
            The object that connects them; always the same one in a process.

        Raises:
            ComputeError: The machine does not have the requested devices.
        """
        return _launch(self)


@functools.cache
def _launch(compute: Compute) -> Processes:
    if compute.processes == 1 and not _wants_other_than_cpu(compute.accelerator):
        return OneProcess()
    return _through_fabric(compute)


def _through_fabric(compute: Compute) -> Fabric:
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
            f"accelerator {compute.accelerator} with devices {compute.devices} is not available "
            f"here: {error}"
        ) from None
    fabric.launch()
    return fabric


def _wants_other_than_cpu(accelerator: str) -> bool:
    """Whether a training runs, or may run, on something else than the processor."""
    found = (
        torch.cuda.is_available()
        or torch.backends.mps.is_available()
        or importlib.util.find_spec("torch_xla") is not None
    )
    return accelerator == "gpu" or (accelerator == "auto" and found)


def in_any_process(fabric: Processes, condition: Any) -> bool:
    """Return whether a condition holds in any process; the answer is the same in all of them.

    Args:
        fabric: The processes.
        condition: The condition in this process.
    """
    if fabric.world_size == 1:
        return bool(condition)
    flag = torch.tensor(float(condition), device=fabric.device)
    total: Any = fabric.all_reduce(flag, reduce_op="sum")
    return bool(total > 0)
