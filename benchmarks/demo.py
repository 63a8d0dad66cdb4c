"""What `make demo` runs once septet is installed: with nothing compiled, and again."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from common import Row, arguments, emit, septet

COLD, WARM = 60.0, 15.0
LEAST_TRADES = 100


def measure(runs: int) -> list[Row]:
    """Run the demo in a fresh cache folder, then `runs` times more; the slowest warm run counts."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)

        def once(number: int) -> float:
            out = str(folder / str(number))
            words = ("run", "strategies/demo.yaml", "--out", out)
            return septet(*words, cache=folder / "plans")[0]

        cold = once(0)
        warm = max(once(number + 1) for number in range(runs))
        (summary,) = (folder / "0").glob("demo/*/summary.json")
        trades = json.loads(summary.read_text(encoding="utf-8"))["trades"]
    return [
        Row("demo", "first time, nothing compiled", f"{cold:.1f} s", "target 60 s", COLD / cold),
        Row("demo", "second time", f"{warm:.1f} s", "target 15 s", WARM / warm),
        Row("demo", "trades out of sample", f"{trades}", "at least 100", trades / LEAST_TRADES),
    ]


if __name__ == "__main__":
    asked = arguments(__doc__)
    emit(measure(1 if asked.quick else 3), asked.json)
