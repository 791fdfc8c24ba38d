"""Write environment.yml, for conda users, from requirements.lock: the same versions, in the same
order.

python tools/make_environment.py
"""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

HEAD = """\
# Generated from requirements.lock by `make lock`; don't edit.
#   conda env create -f environment.yml && conda activate cropnb
name: cropnb
channels:
  - conda-forge
dependencies:
  - python=3.11
  - pip
  - pip:
"""


def pins(lock: str) -> list[str]:
    """The requirements of a lock, markers kept and hashes dropped: `name==version ; marker`."""
    return [
        match[1].strip()
        for match in re.finditer(r"^([A-Za-z0-9][^\n\\]*)", lock, flags=re.MULTILINE)
    ]


def environment(lock: str) -> str:
    """The text of environment.yml for this lock."""
    lines = [f'      - "{pin}"' for pin in pins(lock)]
    return HEAD + "\n".join([*lines, "      - -e ."]) + "\n"


if __name__ == "__main__":
    (ROOT / "environment.yml").write_text(environment((ROOT / "requirements.lock").read_text()))
