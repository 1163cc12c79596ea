"""Put the tables that are made from code into README.md: `python tools/update_readme.py`."""

import re
from pathlib import Path

from wm_mpc.nodes.mpc_parameters import TABLE
from wm_mpc.ros.parameters import markdown_table

README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN = "<!-- parameters: made by `python tools/update_readme.py` -->\n"
END = "<!-- end of parameters -->"


def updated(text: str) -> str:
    """README text with the present table of parameters."""
    table = f"{BEGIN}\n{markdown_table(TABLE)}\n{END}"
    return re.sub(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: table, text, flags=re.DOTALL)


if __name__ == "__main__":
    README.write_text(updated(README.read_text(encoding="utf-8")), encoding="utf-8")
