"""The inner loop of gradient planning as machine code.

`library.py` compiles the C++ files in this folder once, and keeps the result. The planner calls
`kernel.py`. Without a compiler, or for a width that is no multiple of the vector length,
planning runs on PyTorch.
"""
