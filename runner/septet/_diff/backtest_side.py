"""The backtest side of a comparison: its bars read again, its core over the values seen live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import yaml

from septet import messages as m
from septet._config.load import Loaded, reopen
from septet._config.read import parse_text
from septet._core.batch import Batch
from septet._data.bars import BarTable, MarketData
from septet._data.load import fingerprints
from septet._data.stamps import iso
from septet._diff.decision_rows import Row, rows_of_frame, rows_of_table
from septet._diff.live_side import Lived
from septet._kernel import layout
from septet._learn.walk_forward_models import EXPIRED, NO_MODEL, NOT_FINITE, OK, answers
from septet._shell import result_tables
from septet._shell.aligned_bars import AlignedBars, align_bars
from septet._shell.backtest import backtest
from septet._shell.session import Session, alignment_rules, open_session
from septet.errors import ConfigError, InputError, SeptetError

if TYPE_CHECKING:
    from septet._store.run_folder import Run

__all__ = [
    "PRICES", "Past", "Seen", "require_same_parameters", "require_same_rules", "open_past",
    "seen_by",
]  # fmt: skip

PRICES: Final = ("open", "high", "low", "close", "volume")
RULES: Final = (
    "seed", "account", "universe", "features", "model", "signal", "risk", "execution",
    "perpetual", "time_zone", "day_start",
)  # fmt: skip
"""What two runs must have in common; the rest is where data and orders come from and go."""
OWN: Final = (
    "account.capital", "universe.start", "universe.end", "execution.venues",
    "execution.instruments", "execution.simulation.fills", "execution.at_start",
    "execution.on_shutdown", "risk.adopt",
)  # fmt: skip


@dataclass
class Past:
    """The backtest: its decisions, and its bars read again.

    `equity` and `decisions` are those of the stored run, or of a new run if the stored one did not
    begin with the live run (`given` is False).
    """

    run: Run
    session: Session
    equity: Mapping[int, float]
    decisions: Mapping[tuple[int, int], Row] | None
    first_ns: int
    given: bool
    models: Sequence[Mapping[str, Any]]
    notes: list[str] = field(default_factory=list)

    def bars(self, k: int) -> BarTable:
        """Return the bars of a symbol."""
        return self.session.market.bars[self.session.market.symbols[k]]


# ---------------------------------------------------------------- the same strategy


def require_same_rules(live: Mapping[str, Any], past: Mapping[str, Any]) -> None:
    """Raise if two runs have different strategies: no part of the gap is due to other rules.

    Raises
    ------
    InputError
        With every key that differs.
    """
    differing = [
        f"{path} is {of_live!r} live and {of_backtest!r} in the backtest"
        for name in RULES
        for path, of_live, of_backtest in _differing(name, live.get(name), past.get(name))
        if not any(path == block_key or path.startswith(f"{block_key}.") for block_key in OWN)
    ]
    if differing:
        unlisted = f"; and {len(differing) - 5} more" if len(differing) > 5 else ""
        raise InputError(
            f"the two runs have other rules: {'; '.join(differing[:5])}{unlisted}",
            hint="backtest the file of the live run (strategy.yaml in its folder), and compare "
            "with that",
        )


def require_same_parameters(live: Mapping[str, float], past: Mapping[str, float]) -> None:
    """Raise if two plans have different parameters, which the block of a venue may change.

    Raises
    ------
    InputError
        With the keys that differ.
    """
    names = [name for name in {**live, **past} if not _equal(live.get(name), past.get(name))]
    if names:
        texts = [f"{name} is {live.get(name)} live, {past.get(name)} before" for name in names[:5]]
        raise InputError(
            f"the two runs read other numbers: {'; '.join(texts)}",
            hint="backtest the file of the live run (strategy.yaml in its folder), and compare "
            "with that",
        )


def _equal(first: float | None, second: float | None) -> bool:
    both_nan = first is not None and first != first and second is not None and second != second
    return first == second or both_nan


def _differing(path: str, first: Any, second: Any) -> list[tuple[str, Any, Any]]:
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return [
            difference
            for key in {**first, **second}
            for difference in _differing(f"{path}.{key}", first.get(key), second.get(key))
        ]
    return [] if first == second else [(path, first, second)]


# ---------------------------------------------------------------- its bars, read again


def open_past(run: Run, lived: Lived, *, base: Path | None = None, log: Any = None) -> Past:
    """Read a backtest's bars again, and repeat it if it did not begin with the live run.

    Raises
    ------
    InputError
        If it is not a backtest, its strategy is another one, or its data cannot be read.
    """
    manifest = run.manifest
    if manifest["facts"]["mode"] != "backtest":
        raise InputError(
            f"run {run.run_id} is no backtest: its mode is {manifest['facts']['mode']}",
            hint="name the paper or live run first, then the backtest",
        )
    resolved = dict(manifest["resolved"])
    live = lived.head.facts["resolved"]
    require_same_rules(live, resolved)
    capital = float(lived.head.facts["capital"])
    facts = run.facts
    is_as_given = facts.first_decision_ns == lived.first_ns and facts.initial_capital == capital
    hashes: Mapping[str, str] | None = manifest.get("data_hashes")
    if not is_as_given:
        resolved = _over_the_span(resolved, lived, capital)
        hashes = None
    try:
        session, notes = _read_again(run, resolved, base, hashes, lived.first_ns, log)
    except InputError as problem:
        if facts.first_decision_ns <= lived.last_ns and lived.first_ns <= facts.end_ns:
            raise
        raise InputError(
            f"the two runs have no decision time in common: the live run decided from "
            f"{iso(lived.first_ns)} to {iso(lived.last_ns)}, the backtest from "
            f"{iso(facts.first_decision_ns)} to {iso(facts.end_ns)}; and over the live run's span "
            f"{problem.message}",
            hint="backtest a span that the live run lies in",
        ) from problem
    past = (
        _as_given(run, session, notes) if is_as_given else _made_again(run, session, lived, notes)
    )
    if past.first_ns != lived.first_ns:
        past.notes.append(
            "the backtest's data has no decision at the live run's first: what the live run did "
            "before the backtest began counts as timing and bars it had alone"
        )
    return past


def _over_the_span(resolved: dict[str, Any], lived: Lived, capital: float) -> dict[str, Any]:
    span = {"start": iso(lived.first_ns), "end": iso(lived.last_ns)}
    return {
        **resolved,
        "universe": {**resolved["universe"], **span},
        "account": {**resolved["account"], "capital": capital},
    }


def _read_again(
    run: Run,
    resolved: Mapping[str, Any],
    base: Path | None,
    hashes: Mapping[str, str] | None,
    first_ns: int,
    log: Any,
) -> tuple[Session, list[str]]:
    """Read the data from the folder in which it is unchanged, otherwise from where it exists."""
    sessions: list[tuple[Session, list[str]]] = []
    failed: list[SeptetError] = []
    for folder in _candidate_folders(run, base):
        try:
            session = open_session(
                _reopened(resolved, run, folder), log=log, not_before_ns=first_ns
            )
        except SeptetError as problem:
            failed.append(problem)
            continue
        changed = _changed(session.market, hashes)
        if not changed:
            return session, []
        sessions.append((session, changed))
    if not sessions:
        raise InputError(
            f"the bars of backtest {run.run_id} cannot be read again: {failed[0].message}",
            hint="name the folder that the strategy file stood in with --base, or make the "
            "backtest again where its data is",
        )
    return sessions[0]


def _candidate_folders(run: Run, base: Path | None) -> list[Path]:
    """Return folders from which relative paths of the file may start, the most likely first."""
    if base is not None:
        return [base]
    folders = [Path.cwd(), run.folder, *list(run.folder.resolve().parents)[:3]]
    for origin in map(str, dict(run.manifest.get("sources", {})).values()):
        path = Path(origin.partition(" ")[0])
        if path.is_absolute():
            folders += list(path.parents)[:3]
    return list(dict.fromkeys(folder.resolve() for folder in folders))


def _reopened(resolved: Mapping[str, Any], run: Run, base: Path) -> Loaded:
    text = yaml.safe_dump(dict(resolved), sort_keys=False, allow_unicode=True)
    tree, problems = parse_text(text, str(run.folder / "resolved.json"))
    if problems:
        raise ConfigError(problems)
    return reopen(tree, run.folder / "strategy.yaml", base)


def _changed(market: MarketData, hashes: Mapping[str, str] | None) -> list[str]:
    """Return which data has changed since the backtest read it."""
    if hashes is None:
        return []
    now = fingerprints(market)
    return [
        f"the data of {name} is not what the backtest read (SHA-256 {hashes[name][:12]}, now "
        f"{now[name][:12] if name in now else 'gone'}): what changed since counts as revision"
        for name in hashes
        if now.get(name) != hashes[name]
    ]


def _as_given(run: Run, session: Session, notes: list[str]) -> Past:
    import polars as pl

    table = run.table("equity", ["time", "equity"])
    times = table["time"].cast(pl.Int64).to_list()
    equity = dict(zip(times, table["equity"].to_list(), strict=True))
    decisions = None
    if "decisions" in run.left_out:
        notes.append("the backtest kept no decisions (--fast): those of the revision are not known")
    else:
        decisions = rows_of_frame(run.table("decisions"), session.market.symbols)
    models = run.manifest.get("models", [])
    first_ns = run.facts.first_decision_ns
    return Past(run, session, equity, decisions, first_ns, True, models, notes)


def _made_again(run: Run, session: Session, lived: Lived, notes: list[str]) -> Past:
    """Repeat the backtest from the live run's first decision on."""
    result = backtest(session.loaded, engine="batch", not_before_ns=lived.first_ns)
    assert result.equity is not None
    assert result.decisions is not None
    facts = run.facts
    notes.append(
        f"the backtest began at {iso(facts.first_decision_ns)} with {facts.initial_capital:g}, the "
        f"live run at {iso(lived.first_ns)} with {float(lived.head.facts['capital']):g}: it was "
        "run again from its resolved.json over the live run's span"
    )
    table: Any = result.equity
    equity = dict(zip(_ints(table["time"]), _floats(table["equity"]), strict=True))
    decisions = rows_of_table(result.decisions, session.market.symbols)
    first_ns = result.facts.first_decision_ns
    return Past(run, session, equity, decisions, first_ns, False, result.models, notes)


def _ints(values: Any) -> list[int]:
    values_as_list: list[int] = np.asarray(values).tolist()
    return values_as_list


def _floats(values: Any) -> list[float]:
    values_as_list: list[float] = np.asarray(values, dtype=np.float64).tolist()
    return values_as_list


# ---------------------------------------------------------------- over the values seen live


@dataclass
class Seen:
    """The backtest core over the values seen live.

    `market` has each bar with the live run's values, otherwise with the backtest's; `F` has the
    features of `session` over it.
    """

    market: MarketData
    session: Session
    F: Any
    equity: dict[int, float]
    decisions: dict[tuple[int, int], Row]


def seen_by(lived: Lived, past: Past, build: Any, until_ns: int) -> Seen:
    """Run the backtest's bars with the live run's values and models."""
    session, plan = past.session, past.session.plan
    market = replace(
        session.market,
        bars={name: _as_seen(k, past.bars(k), lived) for k, name in enumerate(lived.symbols)},
        series={name: _points(name, each, lived) for name, each in session.market.series.items()},
    )
    aligned = align_bars(plan, market, alignment_rules(session.strategy))
    known_ns = aligned.T[layout.KNOWN]
    first = int(np.searchsorted(known_ns, past.first_ns, side="left"))
    last = int(np.searchsorted(known_ns, until_ns, side="right"))
    capital = float(lived.head.facts["capital"])
    batch = Batch(plan, aligned, plan.state(capital, session.instruments))
    with np.errstate(all="ignore"):
        batch.observe(0, aligned.times)
        if build.core.models is not None:
            _predict(lived, build, aligned, batch.F)
        batch.trade(first, last)
    rows = int(batch.arrays["C"][layout.LOG])
    session_seen = replace(session, market=market, aligned=aligned, first=first)
    outcome = result_tables.Outcome(
        batch.LI[:rows], batch.LF[:rows], batch.F, batch.D, batch.G, batch.state
    )
    decisions = rows_of_table(
        result_tables.decisions_of(session_seen, outcome), market.symbols, until_ns
    )
    equity = batch.G[layout.G_EQUITY, first:last].tolist()
    curve = dict(zip(known_ns[first:last].tolist(), equity, strict=True))
    return Seen(market, session_seen, batch.F, curve, decisions)


def _predict(lived: Lived, build: Any, aligned: AlignedBars, rows_of: Any) -> None:
    """Predict with each model of the live run the rows for which it was in force."""
    models, inputs = build.core.models, list(build.model_inputs)
    row = build.plan.facts.model_row
    for event in lived.events:
        if isinstance(event, m.ModelReady | m.ModelFailed):
            models.take(event)
    known_ns = aligned.T[layout.KNOWN].tolist()
    in_force = [models.at(time_ns) for time_ns in known_ns]
    for k, table in enumerate(rows_of):
        groups: dict[Any, list[int]] = {}
        for t, event in enumerate(in_force):
            i = int(aligned.T[layout.ROW + k, t])
            if i >= 0:
                groups.setdefault(_key(event, known_ns[t]), []).append(i)
        for key, rows in groups.items():
            if isinstance(key, int):
                table[row, rows], table[row + 1, rows] = np.nan, key
                continue
            up = answers(models.load(key), np.ascontiguousarray(table[inputs][:, rows].T))
            table[row, rows] = up
            table[row + 1, rows] = np.where(np.isnan(up), NOT_FINITE, OK)


def _key(event: Any, time_ns: int) -> Any:
    """Return the model in force, or the reason why there is none."""
    if event is None or isinstance(event, m.ModelFailed):
        return NO_MODEL
    return EXPIRED if time_ns > event.expires_ns else event


def _as_seen(k: int, table: BarTable, lived: Lived) -> BarTable:
    """Replace bars that both runs have with the live run's values."""
    columns = {name: getattr(table, name).copy() for name in PRICES}
    filled = None if table.filled is None else table.filled.copy()
    for i, open_ns in enumerate(table.open_ns.tolist()):
        bar = lived.bars.get((k, open_ns))
        if bar is not None:
            for name in PRICES:
                columns[name][i] = getattr(bar, name)
            if filled is not None:
                filled[i] = False
    return replace(table, **columns, filled=filled)


def _points(name: str, table: Any, lived: Lived) -> Any:
    """Replace points that both runs have with the values first seen live."""
    values = table.value.copy()
    for i, stamp_ns in enumerate(table.stamp_ns.tolist()):
        point = lived.points.get((name, stamp_ns))
        if point is not None:
            values[i] = point.value
    return replace(table, value=values)
