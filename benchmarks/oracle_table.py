"""Compare every feature that TA-Lib has with TA-Lib, over real bars, and write the table.

    python benchmarks/oracle_table.py FOLDER [--out docs/oracle.md]

FOLDER holds Parquet files with timestamp, open, high, low, close, volume: one symbol a file.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import talib

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.features.oracle import COMPARISONS, Comparison, Outcome, compare, count_excused  # noqa: E402

from septet.testing.bars import Columns  # noqa: E402

__all__ = ["main"]

HEAD = """# Features against TA-Lib

Made by `python benchmarks/oracle_table.py FOLDER`, with TA-Lib {version} on {series} series of
real {bar}-minute bars ({bars:,} bars in all). Two values agree if
|a - b| <= 1e-9 · max(|a|, |b|) + 1e-12 · scale, where scale is the price, 1 or 100. Recursive
features are compared once their declared memory has passed, the others after twice their window.

*Beyond* is the number of values outside that bound. Each of them is computed again in exact
arithmetic (fractions, rounded once at the end): *ours exact* is the number of values where septet
is within the bound of the exact result and TA-Lib is not. TA-Lib keeps running sums over the whole
series and their rounding errors with them, which matter where the prices of a window vary little
compared with their level.

*Flat* is the number of values that are NaN in septet because the divisor is zero: a range, a
deviation or a flow. TA-Lib returns 0 there (and its bands coincide).

| feature | TA-Lib | values | largest difference | share of the bound | beyond | ours exact | flat |
|---|---|---|---|---|---|---|---|
"""


def load(path: Path) -> tuple[Columns, int]:
    """Read one file as the columns a feature may ask for, and its bar in nanoseconds."""
    frame = pl.read_parquet(path)
    opened = frame["timestamp"].dt.timestamp("ns").to_numpy().astype(np.int64)
    bar_ns = int(np.median(np.diff(opened)))
    columns: dict[str, Any] = {
        name: frame[name].to_numpy().copy() for name in ("open", "high", "low", "close", "volume")
    }
    day = opened // 86_400_000_000_000
    columns |= {
        "slot": opened // bar_ns,
        "session": day,
        "week": (day + 3) // 7,
        "seconds": (opened + bar_ns) // 1_000_000_000,
    }
    return columns, bar_ns


def _row(each: Comparison, outcome: Outcome, exact: str) -> str:
    return (
        f"| {each.feature} | {each.function} | {outcome.rows:,} | {outcome.largest:.1e} "
        f"| {outcome.share:.1e} | {len(outcome.beyond):,} | {exact} | {outcome.flat:,} |\n"
    )


def main() -> int:
    """Compare, write the table, and fail where a difference has no excuse."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "oracle.md")
    arguments = parser.parse_args()
    paths = sorted(arguments.folder.glob("*.parquet"))
    if not paths:
        print(f"{arguments.folder} holds no Parquet file; expected one a symbol", file=sys.stderr)
        return 2
    loaded = [load(path) for path in paths]
    for place, (columns, _bar_ns) in enumerate(loaded):
        other = loaded[(place + 1) % len(loaded)][0]["close"]
        columns["other"] = np.resize(other, len(columns["close"]))
    total = sum(len(columns["close"]) for columns, _bar_ns in loaded)
    bar_ns = loaded[0][1]
    text = HEAD.format(
        version=talib.__version__, series=len(paths), bar=bar_ns // 60_000_000_000, bars=total
    )
    unexcused = 0
    for each in COMPARISONS:
        merged, excused = Outcome(), 0
        for columns, length in loaded:
            outcome = compare(each, columns, Outcome(), bar_ns=length)
            excused += count_excused(each, columns, outcome)
            merged.add(outcome)
        unexcused += len(merged.beyond) - excused
        exact = f"{excused:,}" if merged.beyond else "-"
        text += _row(each, merged, exact)
        print(_row(each, merged, exact), end="", file=sys.stderr)
    arguments.out.write_text(text, encoding="utf-8")
    return 1 if unexcused else 0


if __name__ == "__main__":
    raise SystemExit(main())
