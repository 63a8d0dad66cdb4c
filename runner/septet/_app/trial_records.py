"""Writes every backtest and every setting of a sweep to the ledger of trials, and reads it.

Paper, live, drill and replay are not tries. If the ledger cannot be used, the result states it.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Self

from msgspec import structs

from septet._results.previous_trials import Tries
from septet.errors import InputError

if TYPE_CHECKING:
    import polars as pl

    from septet._results.result import RunResult
    from septet._trials.ledger import Ledger, Row, Trial
    from septet._trials.months import Month

__all__ = [
    "SweepCounter",
    "count_run",
    "file_digest",
    "known_tries",
    "listed_tries",
    "trials_document",
]

_OF_THE_DATA: Final = ("candles",)
_encoded: Final = json.JSONEncoder(default=str).encode
_NO_PART: Final = ("name", "mode", "plugins", "paper", "live", "sweep", "schedule", "monitoring")
"""Keys of a file that change no decision: names, and the location of data."""
_NO_DAY: Final = "no day of the data has a close"
_BEGAN: Final = "this run is the first in a new ledger of trials"


def file_digest(resolved: Mapping[str, Any], sources: object = None) -> bytes:
    """Return the digest of a file: of its resolved values and its plugins' sources.

    Comments, names, the span and the location of the data are not included, since data are
    identified by their months; settings laid over the file are included. Fitted models are not:
    with more data there are more of them, and the file is the same.
    """
    deciding = {key: value for key, value in resolved.items() if key not in _NO_PART}
    universe = deciding.get("universe")
    if isinstance(universe, Mapping):
        spans = ("start", "end", "symbols")
        deciding["universe"] = {key: value for key, value in universe.items() if key not in spans}
    data = deciding.get("data")
    if isinstance(data, Mapping):
        deciding["data"] = {key: value for key, value in data.items() if key not in _OF_THE_DATA}
    return _bytes(sum(_leaf(*each) for each in _leaves({**deciding, "": [sources]})))


def _plan_digest(file: bytes, models: list[object]) -> bytes:
    """Return the digest of a plan: of a file's digest and the fitted models."""
    added = sum(_leaf(*each) for each in _leaves(models, "..1"))
    return _bytes(int.from_bytes(file, "little") + added)


def _bytes(total: int) -> bytes:
    return (total % (1 << 256)).to_bytes(32, "little")


def _leaf(path: str, value: Any) -> int:
    """Return the digest of one value as a number: the sum identifies all values in any order."""
    return int.from_bytes(hashlib.sha256(_encoded([path, value]).encode()).digest(), "little")


def _leaves(part: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value of a tree with its path."""
    if isinstance(part, Mapping):
        for key, value in part.items():
            yield from _leaves(value, f"{path}.{key}")
    elif isinstance(part, list | tuple):
        for index, value in enumerate(part):
            yield from _leaves(value, f"{path}.{index}")
    else:
        yield path, float(part) if type(part) is int else part


def count_run(
    result: RunResult, *, face: str, declared: int = 0, client: str = "", hypothesis: str = "",
    now_ns: int | None = None,
) -> RunResult:  # fmt: skip
    """Write a backtest to the ledger; return it with the ledger's record of its data.

    `now_ns` is the recorded time (UTC ns), by default that of the machine's clock.
    """
    from septet._results.statistics import on_calendar_days
    from septet._results.summary import daily_excess
    from septet._store.tables import as_frame
    from septet._trials.ledger import OFF, Trial, is_off
    from septet._trials.months import months_of

    if is_off():
        return replace(result, tries=Tries(None, None, declared, OFF))
    facts = result.facts
    frames = {name: as_frame(name, getattr(result, name)) for name in ("equity", "trades")}
    days, returns = daily_excess(result, frames)
    first_day, by_day = on_calendar_days(days, returns, time_zone=facts.time_zone)
    file = file_digest(result.resolved, result.manifest.get("plugin_sources"))
    trial = Trial(
        plan=_plan_digest(file, [card.get("model_id") for card in result.models]), file=file,
        strategy=facts.strategy, first_day=first_day, returns=by_day, face=face, client=client,
        hypothesis=hypothesis,
    )  # fmt: skip
    months = months_of(result.bars, facts.first_decision_ns, facts.end_ns)
    tries = known_tries(months, [trial], declared=declared, file=file, now_ns=now_ns)
    return replace(result, tries=tries)


def known_tries(
    months: tuple[Month, ...], trials: list[Trial], *, declared: int = 0, file: bytes = b"",
    now_ns: int | None = None,
) -> Tries:  # fmt: skip
    """Write trials on some months; return the ledger's record of these data, or why there is none.

    With the digest of a `file`, also return when it was first tried on any data.
    """
    from septet._trials.ledger import OFF, Ledger, LedgerError, is_off, ledger_path

    if is_off():
        return Tries(None, None, declared, OFF)
    if not months:
        return Tries(None, None, declared, _NO_DAY)
    try:
        with Ledger(ledger_path()) as ledger:
            is_first = ledger.is_empty() and not declared
            asked_ns = time.time_ns() if now_ns is None else now_ns
            ledger.record(months, trials, asked_ns)
            if is_first:  # earlier tries are unknown
                return Tries(None, None, declared, _BEGAN)
            known_of_data = ledger.known(months, file, declared=declared)
            return structs.replace(
                known_of_data.tries, file_first_ns=known_of_data.file_first_ns, asked_ns=asked_ns
            )
    except LedgerError as problem:
        return Tries(None, None, declared, str(problem))


class SweepCounter:
    """Writes the settings of a sweep to the ledger as they end, block by block; closed at the end.

    Settings computed before an interruption are tries. A setting that failed or was pruned is a try
    as well, with unknown returns. `face` and `client` name the caller and `hypothesis` its reason;
    `now_ns` is the recorded time (UTC ns), by default that of the machine's clock.
    """

    def __init__(
        self, *, face: str, client: str = "", hypothesis: str = "", now_ns: int | None = None
    ) -> None:
        from septet._trials.ledger import OFF, is_off

        self._of = (face, client, hypothesis)
        self._now_ns = now_ns
        self._problem = OFF if is_off() else ""
        self._is_first = False
        self._ledger: Ledger | None = None
        self._months: tuple[Month, ...] = ()
        self._plans: Callable[[pl.DataFrame], Iterator[bytes]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    def _asked_ns(self) -> int:
        return time.time_ns() if self._now_ns is None else self._now_ns

    def add(self, manifest: Mapping[str, Any], rows: pl.DataFrame) -> None:
        """Write the settings of some rows; if the ledger cannot be used, `tries` states it."""
        from septet._trials.ledger import LedgerError

        if self._problem:
            return
        try:
            if self._plans is None:
                self._open(manifest)
            if self._ledger is not None:
                trials = self._trials(str(manifest["strategy"]), rows)
                self._ledger.record(self._months, trials, self._asked_ns())
        except LedgerError as problem:
            self._problem = str(problem)

    def _open(self, manifest: Mapping[str, Any]) -> None:
        from septet._trials.ledger import Ledger, ledger_path
        from septet._trials.months import Month

        self._plans = _plans_of(manifest)
        self._months = tuple(Month(*each) for each in manifest.get("months", ()))
        if not self._months:
            self._problem = _NO_DAY
            return
        self._ledger = Ledger(ledger_path())
        self._is_first = self._ledger.is_empty()

    def _trials(self, strategy: str, rows: pl.DataFrame) -> Iterator[Trial]:
        import numpy as np
        import polars as pl

        from septet._trials.ledger import BLOCKS, Trial

        assert self._plans is not None
        sums_of = [name for name in ("over_sums", "block_sums") if name in rows.columns]
        all_sums = rows.select(pl.coalesce(sums_of)).to_series().to_list()
        for plan, sums in zip(self._plans(rows), all_sums, strict=True):
            known = () if sums is None else sums
            yield Trial(plan, plan, strategy, BLOCKS, np.array(known, float), *self._of)

    def tries(self) -> Tries:
        """Return the ledger's record of the data of the sweep, or why there is none."""
        from septet._trials.ledger import LedgerError

        if not self._problem and self._ledger is not None:
            if self._is_first:  # what was tried before, nobody knows
                return Tries(None, None, 0, _BEGAN)
            try:
                known = self._ledger.known(self._months).tries
                return structs.replace(known, asked_ns=self._asked_ns())
            except LedgerError as problem:
                self._problem = str(problem)
        return Tries(None, None, 0, self._problem or _NO_DAY)


def _plans_of(manifest: Mapping[str, Any]) -> Callable[[pl.DataFrame], Iterator[bytes]]:
    """Return the identity of the plans of rows: a file with a row's values has the same digest."""
    resolved = manifest.get("resolved") or {}
    base = int.from_bytes(file_digest(resolved, manifest.get("plugin_sources")), "little")
    written = {path: _leaf(path, value) for path, value in _leaves(resolved)}
    leaf = cache(_leaf)

    def plans(rows: pl.DataFrame) -> Iterator[bytes]:
        names = [name for name in rows.columns if "." in name]
        paths = [f".{name}" for name in names]
        unset = base - sum(written.get(path, 0) for path in paths)
        for values in rows.select(names).iter_rows():
            pairs = zip(paths, values, strict=True)
            yield _bytes(
                unset + sum(leaf(path, float(x) if type(x) is int else x) for path, x in pairs)
            )

    return plans


def listed_tries(
    months: tuple[Month, ...] | None = None, *, strategy: str | None = None
) -> tuple[Tries, list[Row]]:
    """Return the ledger's record, and its rows; nothing is written.

    Parameters
    ----------
    months
        Tries on these data.
    strategy
        Tries on the data on which a strategy of this name was tried. Without either, all of them:
        the number of independent tries on different data is then not given.
    """
    from septet._trials.ledger import OFF, Ledger, LedgerError, has_begun, is_off, ledger_path

    if is_off():
        return Tries(None, None, 0, OFF), []
    path = ledger_path()
    if not has_begun(path):
        return Tries(None, None, 0, "the ledger of trials has not begun"), []
    try:
        with Ledger(path) as ledger:
            if strategy is not None:
                months = ledger.months_of(strategy)
            rows = ledger.rows(months)
            if months is None:
                return Tries(len({row[-1] for row in rows}), None), rows
            return ledger.known(months).tries, rows
    except LedgerError as problem:
        return Tries(None, None, 0, str(problem)), []


def trials_document() -> dict[str, Any]:
    """Return the ledger of this user: its file, its rows, and the tries of each strategy.

    Raises
    ------
    InputError
        It cannot be read, or was changed.
    """
    from septet._data.stamps import iso
    from septet._trials.ledger import OFF, Ledger, LedgerError, has_begun, is_off, ledger_path

    path = ledger_path()
    document: dict[str, Any] = {"ledger": str(path), "off": is_off(), "rows": 0, "strategies": []}
    if not has_begun(path):
        return document
    try:
        with Ledger(path) as ledger:
            document["rows"] = ledger.verify_rows()
            document["strategies"] = [
                {"strategy": name, "tries": tries, "first": iso(first), "last": iso(last)}
                for name, tries, first, last in ledger.strategies()
            ]
    except LedgerError as problem:
        raise InputError(str(problem), hint=problem.hint) from problem
    return {**document, "problem": OFF if is_off() else None}
