"""What a compiler makes of the products that all planning time goes into."""

import platform
import re
import shutil
import subprocess

import pytest

from wm_mpc.native import compiler

COMPILER = shutil.which("g++")
# 4, 8 and 16 floats at a time. Tuned for AMD, gcc copies in pieces of 16 bytes: a product that
# copied its operands took ten times as long there, with the same results.
PROCESSORS = (
    "znver3",
    *(pytest.param(name, marks=pytest.mark.slow)
      for name in ("x86-64-v2", "haswell", "znver2", "skylake-avx512")),
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(COMPILER is None, reason="there is no g++")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the processors are x86-64")
@pytest.mark.parametrize("processor", PROCESSORS)
def test_sums_and_operands_of_a_product_stay_in_registers(processor, tmp_path):
    source = compiler.__file__.replace("compiler.py", "planner.cpp")
    flags = [flag for flag in compiler.FLAGS if flag != "-shared"]
    assert COMPILER is not None
    target = tmp_path / "planner.s"
    subprocess.run(
        [COMPILER, *flags, f"-march={processor}", "-S", "-o", str(target), source], check=True
    )
    blocks = re.findall(
        r"^_ZN6wm_mpc14multiply_blockILi(\d)ELb[01]E[^\n]*:\n(.*?)\.cfi_endproc",
        target.read_text(), flags=re.DOTALL | re.MULTILINE,
    )  # fmt: skip
    assert {int(rows) for rows, _ in blocks} >= {1, 2, 4, 6}
    for rows, body in blocks:
        through_stack = re.findall(r"^\s*v?mov[au]p?[sd].*\(%[re][sb]p\).*$", body, re.MULTILINE)
        through_stack += re.findall(r"^\s*v?movdq[au].*\(%[re][sb]p\).*$", body, re.MULTILINE)
        assert not through_stack, f"{rows} rows on {processor}: {through_stack[0].strip()}"
