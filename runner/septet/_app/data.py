"""Market data: downloads the data of a file, reads and checks files, imports bars to the store."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from septet._app.data_options import hint_of_options, yaml_value
from septet._files import open_regular
from septet.errors import DataError, InputError

if TYPE_CHECKING:
    import polars as pl

    from septet._config.access_rights import Access
    from septet._data.bar_store import BarStore
    from septet._data.bars import BarTable, Finding
    from septet._data.normalise import Normalised
    from septet._data.source import FetchReport, Request
    from septet._progress import Progress

__all__ = [
    "CheckedData", "Imported", "Shape", "Span", "check_data_file", "check_strategy_data",
    "exchange_jobs", "fetch_jobs", "finding_document", "import_file", "lead_in", "parse_bar",
    "read_file", "store_lines", "strategy_jobs", "table_facts",
]  # fmt: skip

Span = tuple[int | None, int | None]
Job = tuple[Any, "Request"]
_LEAD_BARS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Shape:
    """Description of a data file that the file itself does not contain.

    `columns` are (our name, its name), and `keys` other keys of its block in a strategy file, each
    with its value as YAML.
    """

    bar: str | None = None
    symbol: str | None = None
    stamp: str | None = None
    time_zone: str | None = None
    calendar: str | None = None
    adjust: str | None = None
    time_format: str | None = None
    columns: tuple[tuple[str, str], ...] = ()
    keys: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class CheckedData:
    """Tables that were read, and the findings in them."""

    tables: tuple[BarTable, ...]
    findings: tuple[Finding, ...]

    def document(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "symbols": [table_facts(each) for each in self.tables],
            "findings": [finding_document(each) for each in self.findings],
        }


@dataclass(frozen=True, slots=True)
class Imported:
    """Result of an import: `new` bars, and `kept` ones that the store had with other values."""

    root: Path
    source: str
    bar: str
    table: BarTable
    new: int
    kept: int
    findings: tuple[Finding, ...]

    def document(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "store": str(self.root), "source": self.source, **table_facts(self.table),
            "new": self.new, "kept_as_they_were": self.kept,
            "findings": [finding_document(each) for each in self.findings],
        }  # fmt: skip


def parse_bar(text: str) -> int:
    """Read the length of a bar as nanoseconds.

    Raises
    ------
    InputError
        If the text is not a length of a bar.
    """
    from pydantic_core import PydanticCustomError

    from septet_schemas.units import parse_duration

    try:
        return parse_duration(text)
    except PydanticCustomError as error:
        raise InputError(f"--bar: {error.message()}") from error


# ------------------------------------------------------------------ downloads


def strategy_jobs(
    file: Path, store: BarStore, span: Span = (None, None), access: Access | None = None
) -> list[Job]:
    """Return the downloads of a strategy: each source with its request."""
    from septet._config.load import load
    from septet._data.load import request_for
    from septet._data.source import Fetches

    loaded, (first, last) = load(file, access=access), span
    strategy = loaded.strategy
    blocks = {"candles": strategy.data.candles, **strategy.data.series}
    if strategy.data.funding is not None:
        blocks["funding"] = strategy.data.funding
    jobs: list[Job] = []
    for name, block in blocks.items():
        source = block.declaration(block.config)
        if isinstance(source, Fetches):
            loaded.access.reach(block.config, f"data.{name}")
            request = request_for(loaded, name, store=store)
            start = request.start_ns
            if first is not None:
                start = first
            elif start is not None:
                start -= lead_in(strategy)
            end = last if last is not None else request.end_ns
            jobs.append((source, replace(request, start_ns=start, end_ns=end)))
    return jobs


def lead_in(strategy: Any) -> int:
    """Return the market time that training and warm-up read before the first decision."""
    bar_ns: int = strategy.universe.bar
    lead = _LEAD_BARS * bar_ns
    if strategy.model is not None:
        training = strategy.model.extra["training"]
        lead += int(training.lead_ns)
    return lead


def exchange_jobs(
    exchange: str, symbols: Sequence[str], bar: str | None, store: BarStore, span: Span
) -> list[Job]:
    """Return the download of symbols of an exchange.

    Raises
    ------
    InputError
        If symbols or bar are missing, or there is no such exchange.
    """
    from septet._data.source import Request
    from septet._host.plugin_registry import Host

    if not symbols or bar is None:
        raise InputError("--exchange needs --symbol and --bar", hint="--symbol BTC/USDT --bar 1h")
    declaration = Host().declaration("data", "ccxt", "candles")
    source = declaration(_validated(declaration.config, {"venue": exchange}, venue="--exchange"))
    first, last = span
    bar_ns = parse_bar(bar)
    request = Request(tuple(symbols), bar_ns, first, last, Path(), "candles", time.time_ns(), store)
    return [(source, request)]


def fetch_jobs(jobs: Sequence[Job], progress: Progress) -> list[FetchReport]:
    """Download the data that the store does not have; safe to interrupt and to repeat."""
    reports: list[FetchReport] = []
    for source, request in jobs:
        reports += source.fetch(request, progress)
    return reports


# ------------------------------------------------------------------ files


def read_file(path: Path, shape: Shape) -> tuple[Normalised, int]:
    """Read one data file through the same path as a run; return its bars and their length.

    Raises
    ------
    DataError
        If a run would reject it.
    InputError
        If a required option is missing.
    """
    from septet._data.load import read_candles
    from septet._data.source import Request
    from septet._data.source_files import no_data_file
    from septet._host.plugin_registry import Host
    from septet_schemas.blocks import UseBlock
    from septet_schemas.keys import CandleKeys

    if shape.bar is None:
        raise InputError("--bar is missing", hint="such as --bar 1h")
    if not path.is_file():
        raise no_data_file(path, "data") if path.exists() else DataError(f"no such file: {path}")
    with open_regular(path) as file:
        use = "parquet" if file.read(4) == b"PAR1" else "csv"
    declaration = Host().declaration("data", use, "candles")
    config: dict[str, Any] = {"path": str(path.resolve()), "columns": dict(shape.columns)}
    if use == "csv" and shape.time_format:
        config["time_format"] = shape.time_format
    named = ("stamp", "time_zone", "calendar", "adjust")
    options_given = {
        name: getattr(shape, name) for name in named if getattr(shape, name) is not None
    }
    options = {name: f"--key {name}" for name, _ in shape.keys}
    for name, value in shape.keys:
        target = config if name in declaration.config.model_fields else options_given
        if target is options_given and name not in CandleKeys.model_fields:
            allowed = sorted(
                {*declaration.config.model_fields, *CandleKeys.model_fields} - {"path"}
            )
            raise InputError(f"--key {name}: a {use} file has no such key", hint=", ".join(allowed))
        target[name] = yaml_value(f"--key {name}", value)
    keys = _validated(CandleKeys, options_given, **options)
    settings = _validated(declaration.config, config, **options)
    generic = {name: getattr(keys, name) for name in type(keys).model_fields}
    block = UseBlock(use, "data", "candles", settings, declaration, "septet", generic)
    bar_ns = parse_bar(shape.bar)
    symbol = shape.symbol or path.name.split(".")[0]
    request = Request((symbol,), bar_ns, base_dir=path.parent, now_ns=time.time_ns())
    try:
        ((_, normalised),) = read_candles(block, request)
    except DataError as error:
        raise DataError(error.message, hint=hint_of_options(error.hint or "")) from error
    return normalised, bar_ns


def _validated(model: Any, values: Mapping[str, Any], **options: str) -> Any:
    """Validate the given options; `options` names those that differ from their field's name."""
    from pydantic import ValidationError

    try:
        return model(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        option = options.get(name, "--" + name.replace("_", "-"))
        hint = str(first.get("ctx", {}).get("hint", ""))
        raise InputError(f"{option} {values[name]}: {first['msg']}", hint=hint) from error


def check_data_file(path: Path, shape: Shape) -> CheckedData:
    """Read one data file and return its findings."""
    normalised, _ = read_file(path, shape)
    return CheckedData((normalised.bars,), tuple(normalised.findings))


def check_strategy_data(path: Path, store: BarStore) -> CheckedData:
    """Read the data of a strategy file as a run does, and return its findings."""
    from septet._config.load import load
    from septet._data.load import load_market

    market = load_market(load(path), store=store)
    return CheckedData(tuple(market.bars.values()), tuple(market.findings))


def import_file(path: Path, source: str, store: BarStore, shape: Shape) -> Imported:
    """Import the valid bars of a file to the store; existing bars stay."""
    import polars as pl

    from septet_schemas.units import format_duration

    normalised, bar_ns = read_file(path, shape)
    bars, bar = normalised.bars, format_duration(bar_ns)
    names = ("open", "high", "low", "close", "volume")
    frame = pl.DataFrame(
        {"timestamp": bars.open_ns, **{name: getattr(bars, name) for name in names}}
    )
    span = (int(bars.open_ns[0]), int(bars.open_ns[-1]) + bar_ns)
    fresh, changed = _compared(frame, store.read(source, bars.symbol, bar, *span))
    store.append(source, bars.symbol, bar, frame, span)
    store.describe(  # no default calendar: every reader of the bars must name one
        source, bars.symbol, bar, stamp="open", calendar=shape.calendar, imported_from=str(path)
    )
    return Imported(store.root, source, bar, bars, fresh, changed, tuple(normalised.findings))


def _compared(frame: pl.DataFrame, stored: pl.DataFrame | None) -> tuple[int, int]:
    """Count the bars of a file that the store does not have, and those with other values."""
    import polars as pl

    if stored is None:
        return frame.height, 0
    in_both = frame.join(stored, on="timestamp", how="inner", suffix="_there")
    names = [name for name in frame.columns if name != "timestamp"]
    is_equal = pl.all_horizontal(pl.col(name) == pl.col(f"{name}_there") for name in names)
    return frame.height - in_both.height, in_both.height - int(
        in_both.select(is_equal.sum()).item()
    )


# ------------------------------------------------------------------ as plain data


def finding_document(finding: Finding) -> dict[str, Any]:
    """Return findings in data as plain data."""
    return {
        "source": finding.source, "symbol": finding.symbol, "kind": finding.kind,
        "policy": finding.policy, "count": finding.count, "message": finding.message,
        "examples": list(finding.examples),
    }  # fmt: skip


def table_facts(bars: BarTable) -> dict[str, Any]:
    """Return the symbol, length and ends of a table."""
    from septet._data.stamps import iso

    ends = (iso(bars.known_ns[0]), iso(bars.known_ns[-1])) if len(bars) else (None, None)
    return {"symbol": bars.symbol, "bars": len(bars), "first": ends[0], "last": ends[1]}


def store_lines(store: BarStore) -> list[dict[str, Any]]:
    """Return the contents of the store, one entry for each source, name and bar."""
    from septet._data.stamps import iso

    return [
        {
            "source": each.source, "name": each.name, "bar": each.bar, "rows": each.rows,
            "first": None if each.first_ns is None else iso(each.first_ns),
            "last": None if each.last_ns is None else iso(each.last_ns),
            "bytes": each.size, "holes": max(0, len(each.covered) - 1),
        }
        for each in store.entries()
    ]  # fmt: skip
