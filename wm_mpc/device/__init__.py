"""Plans and encoders on a GPU, as captured CUDA graphs (`planner.device`).

The model of the controller stays on the CPU. A copy of it is on the device and computes whole
descents there, so only problems and results travel.
"""
