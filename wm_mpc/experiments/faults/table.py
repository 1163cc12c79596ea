"""The faults of the simulated robot, in the order in which they are tried."""

from wm_mpc.experiments.faults.fault import Fault
from wm_mpc.experiments.faults.processes import PROCESSES
from wm_mpc.experiments.faults.requests import REQUESTS
from wm_mpc.experiments.faults.wires import WIRES

FAULTS: tuple[Fault, ...] = (*WIRES, *REQUESTS, *PROCESSES)
