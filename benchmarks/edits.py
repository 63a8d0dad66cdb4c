"""What one edit of a strategy costs: the whole process after it, less a run without an edit.

    python benchmarks/edits.py [--quick] [--json] [--only demo,sma-cross] [--processor]

Every shipped strategy that is a backtest, edited in one place at a time, from one cache folder in
which its plan was compiled before; then W1 over a million bars. An edit that a file refuses is
left out. Seconds beyond the warm run, which is compiled; a ratio below 1 misses the target. Of a
million bars a known trading shape is a stop with which another strategy was compiled before.
Beside the seconds stand those of processors, of all threads together; on a machine that does
something else as well they are the ones to compare, and `--processor` holds them to the targets.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml
from common import ROOT, Row, bars_text, emit, septet, w1_strategy

SHORT_SECONDS: Final = 1.5
"""Target for up to 40,000 bars of all symbols."""
LONG: Final = {
    "rule": ("signal", 2.5), "feature": ("feature", 3.5), "known trading shape": ("stop", 3.5),
    "new trading shape": ("halt", 8.0),
}  # fmt: skip
"""Edits of a million bars: name in the table, edit, seconds at most."""

Edit = Callable[[dict[str, Any]], bool]
"""Changes a file's tree in place; returns whether there was something to change."""


def _feature(tree: dict[str, Any]) -> bool:
    """Add a feature that a rule reads; without rules, that only the tables show."""
    tree.setdefault("features", {})["added"] = {"use": "wma", "period": 17}
    return True


def _other_feature(tree: dict[str, Any]) -> bool:
    """Let the first feature with a period read another column, which changes the plan."""
    for each in tree.get("features", {}).values():
        if isinstance(each, dict) and "period" in each and each.get("use") in ("sma", "ema"):
            each["of"] = "open"
            return True
    return False


def _signal(tree: dict[str, Any]) -> bool:
    """Add a condition to the first rule of the signal."""
    signal = tree.get("signal", {})
    for key in ("long_if", "exit_if", "short_if"):
        if key in signal:
            signal[key] = f"({signal[key]}) and volume >= 0"
            return True
    return False


def _stop(tree: dict[str, Any]) -> bool:
    stops = tree.get("risk", {}).setdefault("stops", {})
    key = next((key for key in ("stop_loss", "take_profit") if key not in stops), None)
    if key is not None:
        stops[key] = "7%"
    return key is not None


def _sizing(tree: dict[str, Any]) -> bool:
    risk = tree.get("risk", {})
    use = risk.get("sizing", {}).get("use")
    if use is None:
        return False
    other = use == "fixed_fraction"
    risk["sizing"] = (
        {"use": "fixed_quantity", "quantity": 1}
        if other
        else {"use": "fixed_fraction", "fraction": "5%"}
    )
    return True


def _halt(tree: dict[str, Any]) -> bool:
    halts = tree.setdefault("risk", {}).setdefault("halts", {})
    key = next((key for key in ("daily_loss", "drawdown") if key not in halts), None)
    if key is not None:
        halts[key] = {"above": "9%", "then": "flatten", "resume": "next_day"}
    return key is not None


def _limit(tree: dict[str, Any]) -> bool:
    limits = tree.setdefault("risk", {}).setdefault("limits", {})
    key = next((key for key in ("gross_exposure", "position") if key not in limits), None)
    if key is not None:
        limits[key] = "90%"
    return key is not None


def _second_symbol(tree: dict[str, Any]) -> bool:
    """Trade one symbol more, from the same source where that has one."""
    symbols = tree.get("universe", {}).get("symbols", [])
    use = tree.get("data", {}).get("candles", {}).get("use")
    if use != "synthetic" or "series" in tree["data"]["candles"]:
        return False
    symbols.append("ADDED/USDT")
    return True


def _higher_frame(tree: dict[str, Any]) -> bool:
    tree.setdefault("features", {})["of_day"] = {"use": "sma", "period": 5, "bar": "1d"}
    return tree.get("universe", {}).get("bar") != "1d"


def _model(tree: dict[str, Any]) -> bool:
    """Retrain half as often; a strategy without a model is left as it is."""
    training = tree.get("model", {}).get("training", {})
    if "step" not in training:
        return False
    training["step"] = "14d" if training["step"] != "14d" else "28d"
    return True


EDITS: Final[Mapping[str, Edit]] = {
    "new feature": _feature, "feature of another column": _other_feature, "rule": _signal,
    "stop": _stop, "sizing": _sizing, "halt": _halt, "limit": _limit,
    "second symbol": _second_symbol, "higher time frame": _higher_frame,
    "model trained less often": _model,
}  # fmt: skip
OF_LONG: Final[Mapping[str, Edit]] = {
    "signal": _signal, "feature": _feature, "stop": _stop, "halt": _halt,
}  # fmt: skip


def edited(text: str, edit: Edit) -> str | None:
    """Return the file after an edit, or None where it has nothing to edit so."""
    tree = yaml.safe_load(text)
    return yaml.safe_dump(tree, sort_keys=False) if edit(tree) else None


def strategies(only: list[str]) -> list[Path]:
    """Return the shipped files that are backtests as they are."""
    files = sorted((ROOT / "strategies").glob("*.yaml"))
    live = re.compile(r"^mode: *(paper|live)", re.MULTILINE)
    return [
        file for file in files
        if (not only or file.stem in only) and not live.search(file.read_text(encoding="utf-8"))
    ]  # fmt: skip


class Cost(NamedTuple):
    """What a process cost: seconds until its end, and seconds of processors."""

    seconds: float
    processor: float

    def beyond(self, other: Cost) -> Cost:
        """Return what this one cost more than another one."""
        return Cost(self.seconds - other.seconds, self.processor - other.processor)


class Runs:
    """Runs of one cache folder."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0

    def cost(self, text: str) -> Cost:
        """Cost of the whole process that runs a file."""
        self._count += 1
        file = self._folder / f"{self._count}.yaml"
        file.write_text(text, encoding="utf-8")
        out = str(self._folder / f"out{self._count}")
        used = _processor_of_ended()
        seconds = septet("run", str(file), "--out", out, cache=self._folder / "plans")[0]
        return Cost(seconds, _processor_of_ended() - used)

    def compiled(self, text: str) -> None:
        """Run a file compiled, however short it is; later runs find the machine code."""
        before = os.environ.get("SEPTET_COMPILE")
        os.environ["SEPTET_COMPILE"] = "always"
        try:
            self.cost(text)
        finally:
            del os.environ["SEPTET_COMPILE"]
            if before is not None:
                os.environ["SEPTET_COMPILE"] = before

    def warm(self, text: str, times: int) -> Cost:
        """Least cost of some runs after one that has compiled."""
        self.compiled(text)
        costs = [self.cost(text) for _ in range(times)]
        return Cost(min(each.seconds for each in costs), min(each.processor for each in costs))

    def beyond(self, text: str, edit: Edit, warm: Cost) -> Cost | None:
        """Cost beyond the warm run after an edit; None for one that the file refuses."""
        changed = edited(text, edit)
        try:
            return None if changed is None else self.cost(changed).beyond(warm)
        except SystemExit:
            return None


def _processor_of_ended() -> float:
    """Seconds of processors of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def row_of(work: str, name: str, beyond: Cost, most: float, by_processor: bool) -> Row:
    """Return a row of the table; what was not slower meets any target."""
    ratio = most / max(beyond.processor if by_processor else beyond.seconds, 0.01)
    measured = f"{beyond.seconds:+.2f} s, processor {beyond.processor:+.2f} s"
    return Row(f"edit {work}", name, measured, f"target {most:.1f} s", ratio)


def _row_of_warm(work: str, warm: Cost) -> Row:
    measured = f"{warm.seconds:.2f} s, processor {warm.processor:.2f} s"
    return Row(f"edit {work}", "without an edit", measured, "")


def measure(
    files: list[Path],
    edits: Mapping[str, Edit],
    times: int,
    bars: int,
    *,
    by_processor: bool = False,
) -> list[Row]:
    """Measure edits of files, then those of W1 over `bars` bars (0: not at all)."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as place:
        runs = Runs(Path(place))
        for file in files:
            text = file.read_text(encoding="utf-8")
            warm = runs.warm(text, times)
            rows.append(_row_of_warm(file.stem, warm))
            for name, edit in edits.items():
                beyond = runs.beyond(text, edit, warm)
                if beyond is not None:
                    rows.append(row_of(file.stem, name, beyond, SHORT_SECONDS, by_processor))
        if bars:
            text = w1_strategy(Path(place), bars).read_text(encoding="utf-8")
            warm = runs.warm(text, times)
            work = f"W1, {bars_text(bars)}"
            rows.append(_row_of_warm(work, warm))
            stopped = edited(text, _stop)
            other = None if stopped is None else edited(stopped, _signal)
            if other is not None:  # another strategy that trades with a stop was compiled before
                runs.cost(other)
            for name, (edit_name, most) in LONG.items():
                beyond = runs.beyond(text, OF_LONG[edit_name], warm)
                if beyond is not None:
                    rows.append(row_of(work, name, beyond, most, by_processor))
    return rows


def options(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--json", action="store_true", help="print rows as JSON")
    parser.add_argument(
        "--only", default="", help="shipped strategies by name, without W1; w1 is W1 alone"
    )
    parser.add_argument(
        "--processor", action="store_true", help="hold seconds of processors to the targets"
    )
    return parser.parse_args(words)


if __name__ == "__main__":
    asked = options()
    chosen = [name for name in asked.only.split(",") if name]
    if asked.quick:
        emit(measure(strategies(["sma-cross"]), {"rule": _signal}, 1, 0), asked.json)
    else:
        files = [] if chosen == ["w1"] else strategies(chosen)
        bars = 1_000_000 if chosen in ([], ["w1"]) else 0
        rows = measure(files, EDITS, 2, bars, by_processor=asked.processor)
        emit(rows, asked.json)
