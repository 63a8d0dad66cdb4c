"""Loads all data that the run of a strategy file needs."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar, cast

import numpy as np

from septet._data.bars import BarTable, Finding, Instrument, MarketData, SeriesTable
from septet._data.calendars import sessions_per_year
from septet._data.candle_ends import candles_ending
from septet._data.dated_series import known_early
from septet._data.funding_bounds import refuse_rates
from septet._data.funding_gaps import missing_funding
from septet._data.normalise import Normalised, normalise
from septet._data.series import check_funding, ending, normalise_series
from septet._data.source import Facts, RawBars, RawSeries, Request, Store
from septet._data.source_files import reading, symbol_path
from septet._data.stamps import iso
from septet._host.plugin_calls import plugin_errors, title_of
from septet.errors import DataError, PluginError
from septet_schemas.base import Config
from septet_schemas.blocks import UseBlock
from septet_schemas.data import CandlesConfig, SeriesConfig

__all__ = [
    "Fingerprint",
    "LoadedFile",
    "cut",
    "fingerprints",
    "instruments_of",
    "keys_of",
    "load_market",
    "overlap_key",
    "placed",
    "read_all_series",
    "read_candles",
    "read_series",
    "series_blocks",
    "request_for",
    "survivorship",
]

K = TypeVar("K", bound=Config)
MAX_OTHERS: Final = 1_000
"""Most symbols that a source may return without having been asked for them."""


def placed(loaded: LoadedFile, *path: str) -> AbstractContextManager[None]:
    """Add the place in the file to errors raised inside, if the file has places."""
    place = getattr(loaded, "placed", None)
    if place is None:
        return nullcontext()
    found: AbstractContextManager[None] = place(*path)
    return found


class LoadedFile(Protocol):
    """The required attributes of a loaded strategy file."""

    @property
    def strategy(self) -> Any:
        """The validated strategy."""

    @property
    def base_dir(self) -> Path:
        """Folder that relative paths start from."""

    @property
    def access(self) -> Any:
        """What the operator allows the file to read and connect to."""


def keys_of(block: UseBlock, model: type[K]) -> K:
    """Return the generic keys of a validated block as their model."""
    given = {name: block.extra[name] for name in model.model_fields if name in block.extra}
    return cast(K, model.model_construct(**given))


def request_for(
    loaded: LoadedFile,
    name: str = "candles",
    *,
    store: Store | None = None,
    now_ns: int | None = None,
) -> Request:
    """Return the request of a strategy to the source of the block `name`.

    `now_ns` is the time at which the data is read (UTC ns), by default the current time.
    """
    universe = loaded.strategy.universe
    return Request(
        symbols=tuple(universe.symbols),
        bar_ns=universe.bar,
        start_ns=universe.start,
        end_ns=universe.end,
        base_dir=Path(loaded.base_dir),
        name=name,
        now_ns=time.time_ns() if now_ns is None else now_ns,
        store=store,
        read=loaded.access.read_for(Path(loaded.base_dir), f"data.{name}"),
        events=_events_of(universe),
    )


def _events_of(universe: Any) -> str:
    """Return the name of the series of a blackout; empty without a blackout."""
    blackout = getattr(universe.trading_hours, "blackout", None)
    return str(blackout.series) if blackout is not None else ""


def read_candles(block: UseBlock, request: Request) -> list[tuple[RawBars, Normalised]]:
    """Read the source of a block and normalise every symbol, in the order of the request.

    Raises
    ------
    DataError
        If the source cannot be read, or its rows cannot be normalised (see `normalise`).
    """
    keys = keys_of(block, CandlesConfig)
    with reading(f"data.{request.name}"), plugin_errors(block, f"data.{request.name}"):
        source = block.declaration(block.config)
        raw = _tables_of(block, source.read(request), request)
    missing = [symbol for symbol in request.symbols if symbol not in raw]
    if missing:
        raise DataError(
            f"{block.use} gave no data for {', '.join(missing)}",
            hint=f"it has {', '.join(sorted(raw)) or 'nothing'}",
        )
    found = []
    for symbol in request.symbols:
        with reading(f"{symbol} of {raw[symbol].facts.origin}"):
            done = normalise(raw[symbol], keys, bar_ns=request.bar_ns, now_ns=request.now_ns)
        found.append((raw[symbol], done))
    return found


def _tables_of(block: UseBlock, returned: Any, request: Request) -> dict[str, RawBars]:
    """Return the tables of a source by symbol; reject other objects, and too many tables.

    Raises
    ------
    PluginError
        If the source does not return one table for each symbol; states what it returned.
    """
    if not isinstance(returned, Iterable):
        raise _not_read(block, f"returned a {type(returned).__name__}, expected a list of RawBars")
    found: dict[str, RawBars] = {}
    most = len(request.symbols) + MAX_OTHERS
    for each in returned:
        if not isinstance(each, RawBars):
            raise _not_read(block, f"gave a {type(each).__name__} among its bars, expected RawBars")
        if type(each.symbol) is not str or not isinstance(each.facts, Facts):
            raise _not_read(block, "gave RawBars whose symbol is no text, or whose facts are none")
        if each.symbol in found:
            raise _not_read(block, f"gave two tables of {each.symbol}")
        if len(found) == most:
            raise _not_read(
                block, f"gave more than {most} tables for {len(request.symbols)} symbols"
            )
        found[each.symbol] = each
    return found


def _not_read(block: UseBlock, what: str) -> PluginError:
    return PluginError(
        f"{title_of(block)} {what}",
        hint=f"this is a fault of {block.distribution}: report it there",
    )


def read_series(
    name: str, block: UseBlock, request: Request
) -> tuple[SeriesTable, tuple[Finding, ...], str]:
    """Read and normalise one outside series; return its table, findings and origin.

    Raises
    ------
    DataError
        If it cannot be read or normalised; an optional series is then empty, with a finding.
    """
    keys = keys_of(block, SeriesConfig)
    try:
        with reading(f"data.{name}"):
            with plugin_errors(block, f"data.{name}"):
                raw = block.declaration(block.config).read(replace(request, name=name))
            if not isinstance(raw, RawSeries):
                raise _not_read(block, f"returned a {type(raw).__name__}, expected a RawSeries")
            table, found = normalise_series(
                name, raw, keys, now_ns=request.now_ns, events=name == request.events
            )
    except DataError as error:
        if not keys.optional:
            raise
        empty = np.zeros(0, dtype=np.int64)
        gone = Finding(block.use, name, "missing", "keep", 1, (error.message,), "optional series")
        return SeriesTable(name, empty, empty.copy(), np.zeros(0), keys.max_age), (gone,), ""
    refuse_rates(table, raw.facts.origin)
    return table, found, raw.facts.origin


def load_market(
    loaded: LoadedFile,
    *,
    store: Store | None = None,
    now_ns: int | None = None,
    warmup_ns: int | None = None,
) -> MarketData:
    """Read, normalise and check everything a strategy file names.

    Parameters
    ----------
    loaded
        A loaded strategy file.
    store
        The store of downloads; by default the user's store.
    now_ns
        The time at which the data is read (UTC ns), by default the current time.
    warmup_ns
        Market time (ns) to keep before `universe.start`; None keeps everything.

    Raises
    ------
    DataError
        If data is missing, damaged, mostly bad, or outside of the requested span.
    """
    strategy = loaded.strategy
    if store is None:
        from septet._data.bar_store import BarStore

        store = BarStore()
    request = request_for(loaded, store=store, now_ns=now_ns)
    with placed(loaded, "data", "candles"):
        read = read_candles(strategy.data.candles, request)
    findings: list[Finding] = []
    bars: dict[str, BarTable] = {}
    calendars: dict[str, str] = {}
    sources: dict[str, str] = {}
    for raw, done in read:
        findings += done.findings
        calendars[raw.symbol] = done.calendar
        sources[raw.symbol] = raw.facts.origin
        bars[raw.symbol] = _cut_to_span(done.bars, request, warmup_ns)
    with placed(loaded, "universe"):
        findings += _check_overlap(bars, {raw.symbol: done.bars for raw, done in read}, request)
    findings += survivorship(calendars)
    first_ns = -(2**63) if request.start_ns is None else request.start_ns
    last = {name: int(each.known_ns[-1]) for name, each in bars.items() if len(each)}
    last = {name: known for name, known in last.items() if known >= first_ns}
    reset_after = keys_of(strategy.data.candles, CandlesConfig).reset_after
    findings += candles_ending(last, calendars, reset_after, request)
    series, found, origins = read_all_series(loaded, request)
    findings += found
    for table in (each for name, each in series.items() if name != request.events):
        findings += ending(table, {symbol: each.known_ns for symbol, each in bars.items()})
    spans = {symbol: (int(bars[symbol].open_ns[0]), known) for symbol, known in last.items()}
    findings += missing_funding(series.values(), spans, request)
    sources |= origins
    with placed(loaded, "execution"):
        instruments = instruments_of(strategy, {raw.symbol: raw.facts for raw, _ in read})
    return MarketData(
        symbols=request.symbols,
        bar_ns=request.bar_ns,
        bars=bars,
        series=series,
        instruments=instruments,
        findings=tuple(findings),
        calendar=Counter(calendars.values()).most_common(1)[0][0],
        sources=sources,
        calendars=calendars,
    )


def read_all_series(
    loaded: LoadedFile, request: Request
) -> tuple[dict[str, SeriesTable], list[Finding], dict[str, str]]:
    """Read all series of a file; return the tables, the findings, and the origins."""
    series: dict[str, SeriesTable] = {}
    findings: list[Finding] = []
    sources: dict[str, str] = {}
    for name, block in series_blocks(loaded.strategy.data, request).items():
        with placed(loaded, "data", name.partition("@")[0]):
            series[name], found, sources[name] = read_series(name, block, request)
        findings += found
        if name.partition("@")[0] == "funding":
            findings += check_funding(series[name])
        elif name != request.events:
            findings += known_early(series[name], keys_of(block, SeriesConfig))
    return series, findings, sources


def series_blocks(data: Any, request: Request) -> dict[str, UseBlock]:
    """Return the blocks of a file's series by name, including its funding.

    A block whose `path` contains ``{symbol}`` becomes one block per symbol, named ``NAME@SYMBOL``.
    """
    blocks = dict(data.series)
    if data.funding is not None:
        blocks["funding"] = data.funding
    found: dict[str, UseBlock] = {}
    for name, block in blocks.items():
        path = getattr(block.config, "path", None)
        if not isinstance(path, str) or "{symbol}" not in path:
            found[name] = block
            continue
        for symbol in request.symbols:
            config = block.config.model_copy(
                update={"path": symbol_path(path, symbol, request.base_dir)}
            )
            found[f"{name}@{symbol}"] = replace(block, config=config)
    return found


def cut(table: BarTable, first: int, last: int) -> BarTable:
    """Return rows `first` to `last` (excluded) of a table as copies; all rows: the table itself."""
    if first == 0 and last == len(table):
        return table
    columns = {
        each.name: getattr(table, each.name)[first:last].copy()
        for each in fields(table)
        if isinstance(getattr(table, each.name), np.ndarray)
    }
    return replace(table, **columns)


def _cut_to_span(table: BarTable, request: Request, warmup_ns: int | None) -> BarTable:
    """Drop bars that become known after the end, and bars before the warm-up."""
    last = len(table)
    if request.end_ns is not None:
        last = int(np.searchsorted(table.known_ns, request.end_ns, side="right"))
    first = 0
    if request.start_ns is not None and warmup_ns is not None:
        begin = request.start_ns - warmup_ns
        first = int(np.searchsorted(table.known_ns, begin, side="left"))
    return cut(table, min(first, last), last)


def _check_overlap(
    bars: Mapping[str, BarTable], whole: Mapping[str, BarTable], request: Request
) -> list[Finding]:
    start = request.start_ns if request.start_ns is not None else -(2**63)
    outside = [s for s, t in bars.items() if not len(t) or int(t.known_ns[-1]) < start]
    spans = [
        f"{symbol} {iso(whole[symbol].known_ns[0])} to {iso(whole[symbol].known_ns[-1])}"
        for symbol in outside
    ]
    if len(outside) == len(bars):
        begin = "the beginning" if request.start_ns is None else iso(request.start_ns)
        end = "the end" if request.end_ns is None else iso(request.end_ns)
        raise DataError(
            f"the data and the span asked for do not overlap: asked {begin} to {end}, "
            f"there is {'; '.join(spans[:5])}",
            hint="change universe: {start, end}, or fetch more with septet data fetch",
            key=overlap_key(request, max(int(each.known_ns[-1]) for each in whole.values())),
        )
    return [
        Finding("universe", symbol, "no_overlap", "keep", 1, (text,), "no bar in the span")
        for symbol, text in zip(outside, spans, strict=True)
    ]


def overlap_key(request: Request, last_ns: int) -> str:
    """Return the universe key that misses the data: `start` if after its end, else `end`."""
    late = request.start_ns is not None and request.start_ns > last_ns
    return "start" if late or request.end_ns is None else "end"


def survivorship(calendars: Mapping[str, str]) -> list[Finding]:
    """Return the finding that a universe of stocks chosen today excludes those that failed."""
    stocks = [s for s, name in calendars.items() if sessions_per_year(name) == 252.0]
    if not stocks:
        return []
    text = (
        "the symbols were chosen today: those that failed before are not among them, so results "
        "are better than they would have been (survivorship)"
    )
    return [Finding("universe", ", ".join(stocks[:8]), "note", "keep", 0, (), text)]


def instruments_of(strategy: Any, facts: Mapping[str, Facts]) -> dict[str, Instrument]:
    """Return the instruments: from the file, else as stored with the data, else the defaults.

    Raises
    ------
    DataError
        If a symbol has neither of the first two, and a venue of the file is not `simulated`.
    """
    written = strategy.execution.instruments
    simulated = all(block.use == "simulated" for block in strategy.execution.venues.values())
    found: dict[str, Instrument] = {}
    for symbol, known in facts.items():
        spec, stored = written.get(symbol), known.instrument
        if spec is not None:
            lot, tick, least = float(spec.lot), float(spec.tick), float(spec.min_notional)
            found[symbol] = Instrument(
                symbol, lot, tick, least, min(1e-8, lot), float(spec.min_quantity)
            )
        elif stored is not None:
            found[symbol] = Instrument(symbol, **{name: float(v) for name, v in stored.items()})
        elif simulated:
            found[symbol] = Instrument(symbol)
        else:
            raise DataError(
                f"nothing states what can be traded of {symbol}: lot, tick and minimum notional",
                hint=f"write execution: {{instruments: {{{symbol}: {{tick: ..., lot: ..., "
                "min_notional: ...}}}, or fetch the data with septet data fetch",
            )
    return found


class Fingerprint:
    """SHA-256 of the rows of a table, which may be added in parts."""

    def __init__(self) -> None:
        self._columns: dict[str, Any] = {}

    def add(self, table: BarTable | SeriesTable) -> None:
        """Add rows.

        Each column has its own hash, so that the division into parts does not matter.
        """
        for each in fields(table):
            values = getattr(table, each.name)
            if isinstance(values, np.ndarray):
                digest = self._columns.setdefault(each.name, hashlib.sha256())
                digest.update(np.ascontiguousarray(values).data)

    def hexdigest(self) -> str:
        """Return the hash of the names and the hashes of the columns."""
        digest = hashlib.sha256()
        for name, column in self._columns.items():
            digest.update(name.encode())
            digest.update(column.digest())
        return digest.hexdigest()


def fingerprints(market: MarketData) -> dict[str, str]:
    """Return the SHA-256 of the rows of every symbol and series, for the manifest of a run."""
    found: dict[str, str] = {}
    tables: dict[str, BarTable | SeriesTable] = {**market.bars, **market.series}
    for name, table in tables.items():
        made = Fingerprint()
        made.add(table)
        found[name] = made.hexdigest()
    return found
