"""What results keep of the command that made them."""

from __future__ import annotations

import pytest

from wm_mpc.provenance import recorded_command


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["--seed", "0"], "train --seed 0"),
        (["--run", "/home/someone/runs/wall"], "train --run wall"),
        (["--run=/home/someone/runs/wall/"], "train --run=wall"),
        (["--variants", "all=/a/b.pt,none=/c/d"], "train --variants all=b.pt,none=d"),
        (["--dataset", "data/wall"], "train --dataset data/wall"),
        (["--workers", "ray://host:1"], "train --workers ray://host:1"),
    ],
)
def test_absolute_paths_are_cut_to_their_last_part(given, kept):
    assert recorded_command("train", given) == kept
