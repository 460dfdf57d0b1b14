"""`make check`: everything that can be said of the code without running it. Each finding is printed; any fails."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

CHECKS: tuple[tuple[str, ...], ...] = (
    ("ruff", "format", "--check", "--quiet", "."),
    ("ruff", "check", "--quiet", "."),
    ("mypy", "--no-error-summary"),
    ("lint-imports", "--no-logo"),
    ("python", "-m", "tools.stubs", "--check"),
    ("python", "-m", "tools.docs", "--check"),
)


def main() -> None:
    """Run all checks, whatever the first one says."""
    failed = []
    for check in CHECKS:
        done = subprocess.run([BIN / check[0], *check[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            failed.append(check[0] if check[0] != "python" else check[2])
            print(f"$ {' '.join(check)}\n{done.stdout}{done.stderr}")
    if failed:
        raise SystemExit(f"not good: {', '.join(failed)}")
    print("checks: good")


if __name__ == "__main__":
    main()
