"""A search for garbage passes over what a node has loaded; it sees what came later."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import gc, sys, weakref
from wm_mpc.ros import garbage

class Cycle:
    def __init__(self):
        self.itself = self

{begin}
loaded = Cycle()
garbage.loaded()
frozen = gc.get_freeze_count()
later = Cycle()
garbage.loaded()
first, second = weakref.ref(loaded), weakref.ref(later)
del loaded, later
gc.collect()
print(frozen > 0, first() is None, second() is None)
"""


@pytest.mark.parametrize(
    ("begin", "found"),
    [("garbage.begin()", "True False True"), ("", "False True True")],
    ids=["node", "other program"],
)
def test_only_what_a_node_loads_first_is_passed_over(begin, found):
    code = CODE.format(begin=begin)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == found
