"""Makes a virtual environment run the house from this very tree: two paths for imports, and a script for each command.

What an editable install would do, but for a finder that imports much of the standard library at every start.
"""

import sys
import sysconfig
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

SCRIPT = """#!{python}
import sys
from {module} import {function}
sys.exit({function}())
"""


def place(root: Path, site: Path, scripts: Path, python: str) -> None:
    """Write both; `root` is where the house is found, `site` where packages are, `scripts` where commands are, `python`
    what runs them."""
    (site / "capsule.pth").write_text(f"{root}\n{root / 'gen'}\n")
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    for name, entry in declared.items():
        module, _, function = entry.partition(":")
        file = scripts / name
        file.write_text(SCRIPT.format(python=python, module=module, function=function))
        file.chmod(0o755)


if __name__ == "__main__":
    place(ROOT, Path(sysconfig.get_path("purelib")), Path(sysconfig.get_path("scripts")), sys.executable)
