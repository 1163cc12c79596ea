"""The faults of the simulated robot, in the order in which they are tried."""

from wm_mpc.faults.fault import Fault
from wm_mpc.faults.processes import PROCESSES
from wm_mpc.faults.requests import REQUESTS
from wm_mpc.faults.wires import WIRES

FAULTS: tuple[Fault, ...] = (*WIRES, *REQUESTS, *PROCESSES)
