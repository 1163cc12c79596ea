"""Planning is tested on one core, as it runs next to a simulator."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
