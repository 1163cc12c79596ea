"""Planning at the speed of the processor: the inner loop of gradient planning as machine code.

`library.py` compiles the C++ beside it once and keeps the result; `kernel.py` is what the planner
calls. Without a compiler, or for models other than the GRU, planning runs on PyTorch as it always
does.
"""
