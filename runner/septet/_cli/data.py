"""The commands for market data: data fetch, import, list and check."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from septet._cli import options
from septet._cli.terminal import echo, echo_json
from septet._files import open_regular
from septet.errors import DataError, InputError

if TYPE_CHECKING:
    import polars as pl

    from septet._config.access import Access
    from septet._data.bar_store import BarStore
    from septet._data.bars import BarTable, Finding
    from septet._data.normalise import Normalised
    from septet._data.source import FetchReport, Request
    from septet._progress import Progress

__all__ = ["data"]

_LEAD_BARS: Final = 1_000
_STRATEGIES: Final = (".yaml", ".yml")

_store_option = click.option(
    "--store",
    "root",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of downloaded data; SEPTET_DATA or the user's data folder by default.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.group()
def data() -> None:
    """Download, import, list and check market data."""


def _print_json(value: Any) -> None:
    from septet._app.documents import to_json

    echo_json(to_json(value))


def _store(root: Path | None) -> BarStore:
    from septet._data.bar_store import BarStore

    return BarStore(root)


def _moment(text: str | None, *, ends: bool = False) -> int | None:
    from pydantic_core import PydanticCustomError

    from septet_schemas.times import parse_moment

    try:
        return None if text is None else parse_moment(text, ends=ends)
    except PydanticCustomError as error:
        raise InputError(f"{'--until' if ends else '--since'}: {error.message()}") from error


def _duration(text: str) -> int:
    from pydantic_core import PydanticCustomError

    from septet_schemas.units import parse_duration

    try:
        return parse_duration(text)
    except PydanticCustomError as error:
        raise InputError(f"--bar: {error.message()}") from error


@contextmanager
def _progress() -> Iterator[Progress]:
    """Show progress bars with speed and remaining time on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda stage, done, total, what: None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
    )

    from septet._cli.terminal import GUARDED
    from septet._cli.terminal import console as make_console

    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
        TextColumn("bars"), TimeRemainingColumn(),
    )  # fmt: skip
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=make_console(stderr=True), **GUARDED) as display:

        def report(stage: str, done: int, total: int | None, what: str, /) -> None:
            if what not in tasks:
                tasks[what] = display.add_task(what, total=total)
            display.update(tasks[what], completed=done, total=total)

        yield report


@data.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--exchange", help="An exchange's id in ccxt, instead of a strategy FILE.")
@click.option("--symbol", "symbols", multiple=True, help="With --exchange; may be repeated.")
@click.option("--bar", help="With --exchange: the length of a bar, such as 1h.")
@click.option("--since", help="First day or time, UTC; by default the strategy's, with warm-up.")
@click.option("--until", help="Last day or time, UTC.")
@_store_option
@options.access
@_json
def fetch(
    file: Path | None,
    exchange: str | None,
    symbols: tuple[str, ...],
    bar: str | None,
    since: str | None,
    until: str | None,
    root: Path | None,
    secrets: tuple[str, ...],
    hosts: tuple[str, ...],
    as_json: bool,
) -> None:
    """Download what a strategy FILE needs, or bars of an exchange.

    Only what the store does not hold is asked for. After an interruption the same command goes
    on where it stopped.
    """
    first, last = _moment(since), _moment(until, ends=True)
    store = _store(root)
    if (file is None) == (exchange is None):
        raise InputError(
            "septet data fetch takes a strategy FILE or --exchange, one of the two",
            hint="septet data fetch --exchange binance --symbol BTC/USDT --bar 1h "
            "--since 2023-01-01",
        )
    if file is not None:
        access = options.access_of(secrets, hosts)
        jobs = _jobs_of_file(file, store, (first, last), access)
    else:
        jobs = [_job_of_exchange(str(exchange), symbols, bar, store, first, last)]
    reports: list[FetchReport] = []
    with _progress() as progress:
        for source, request in jobs:
            reports += source.fetch(request, progress)
    _show_reports(reports, store, as_json=as_json)


def _jobs_of_file(
    file: Path, store: BarStore, span: tuple[int | None, int | None], access: Access
) -> list[tuple[Any, Request]]:
    from dataclasses import replace

    from septet._config.load import load
    from septet._data.load import request_for
    from septet._data.source import Fetches

    loaded, (first, last) = load(file, access=access), span
    strategy = loaded.strategy
    blocks = {"candles": strategy.data.candles, **strategy.data.series}
    if strategy.data.funding is not None:
        blocks["funding"] = strategy.data.funding
    jobs = []
    for name, block in blocks.items():
        source = block.declaration(block.config)
        if isinstance(source, Fetches):
            access.reach(block.config, f"data.{name}")
            request = request_for(loaded, name, store=store)
            start = request.start_ns
            if first is not None:
                start = first
            elif start is not None:
                start -= _lead_in(strategy)
            end = last if last is not None else request.end_ns
            jobs.append((source, replace(request, start_ns=start, end_ns=end)))
    return jobs


def _lead_in(strategy: Any) -> int:
    """Return the market time that training and warm-up read before the first decision."""
    bar_ns: int = strategy.universe.bar
    lead = _LEAD_BARS * bar_ns
    if strategy.model is not None:
        training = strategy.model.extra["training"]
        lead += int(training.lead_ns)
    return lead


def _job_of_exchange(
    exchange: str,
    symbols: Sequence[str],
    bar: str | None,
    store: BarStore,
    first: int | None,
    last: int | None,
) -> tuple[Any, Request]:
    from septet._data.source import Request
    from septet._host.register import Host

    if not symbols or bar is None:
        raise InputError("--exchange needs --symbol and --bar", hint="--symbol BTC/USDT --bar 1h")
    declaration = Host().declaration("data", "ccxt", "candles")
    source = declaration(_validated(declaration.config, {"venue": exchange}, venue="--exchange"))
    request = Request(
        tuple(symbols), _duration(bar), first, last, Path(), "candles", time.time_ns(), store
    )
    return source, request


def _show_reports(reports: list[FetchReport], store: BarStore, *, as_json: bool) -> None:
    lines: list[dict[str, Any]] = [
        {"name": each.name, "rows": each.rows, "requests": each.requests, "notes": each.notes}
        for each in reports
    ]
    if as_json:
        _print_json({"store": str(store.root), "fetched": lines})
        return
    if not lines:
        echo("Nothing to download: this strategy reads files or bundled data.")
        return
    for line in lines:
        notes = f" ({'; '.join(line['notes'])})" if line["notes"] else ""
        echo(f"{line['name']}: {line['rows']:,} new rows in {line['requests']} requests{notes}")
    echo(f"Stored in {store.root}.")


_SHAPE: Final = (
    click.option("--symbol", help="The symbol the rows are of; a symbol column wins."),
    click.option("--bar", help="The length of a bar, such as 1h."),
    click.option("--stamp", type=click.Choice(["open", "close"]), help="What time stamps mark."),
    click.option("--time-zone", help="Of stamps that name none: UTC, America/New_York."),
    click.option("--calendar", help="24x7, XFX, or an exchange such as XNYS."),
    click.option("--adjust", type=click.Choice(["none", "splits", "total"])),
    click.option("--time-format", help="Of text files, with % signs: %d/%m/%Y %H:%M."),
    click.option(
        "--column", "columns", multiple=True, metavar="OURS=THEIRS",
        help="A column's name in the file: --column close=Px. May be repeated.",
    ),
)  # fmt: skip


def _shape(command: Any) -> Any:
    for option in reversed(_SHAPE):
        command = option(command)
    return command


def _read_file(path: Path, shape: dict[str, Any]) -> tuple[Normalised, int]:
    """Read one data file with the options of `_SHAPE`, through the same path as a run."""
    from septet._data.files import no_data_file
    from septet._data.load import read_candles
    from septet._data.source import Request
    from septet._host.register import Host
    from septet_schemas.blocks import UseBlock
    from septet_schemas.keys import CandleKeys

    if shape["bar"] is None:
        raise InputError("--bar is missing", hint="such as --bar 1h")
    if not path.is_file():
        raise no_data_file(path, "data") if path.exists() else DataError(f"no such file: {path}")
    with open_regular(path) as file:
        use = "parquet" if file.read(4) == b"PAR1" else "csv"
    columns = dict(each.partition("=")[::2] for each in shape["columns"])
    config: dict[str, Any] = {"path": str(path.resolve()), "columns": columns}
    if use == "csv" and shape["time_format"]:
        config["time_format"] = shape["time_format"]
    named = ("stamp", "time_zone", "calendar", "adjust")
    given = {name: shape[name] for name in named if shape[name] is not None}
    keys = _validated(CandleKeys, given)
    declaration = Host().declaration("data", use, "candles")
    block = UseBlock(
        use, "data", "candles", declaration.config(**config), declaration, "septet",
        {name: getattr(keys, name) for name in type(keys).model_fields},
    )  # fmt: skip
    bar_ns = _duration(shape["bar"])
    symbol = shape["symbol"] or path.name.split(".")[0]
    request = Request((symbol,), bar_ns, base_dir=path.parent, now_ns=time.time_ns())
    ((_, done),) = read_candles(block, request)
    return done, bar_ns


def _validated(model: Any, given: dict[str, Any], **options: str) -> Any:
    """Validate the given options; `options` names those that differ from their field's name."""
    from pydantic import ValidationError

    try:
        return model(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        option = options.get(name, "--" + name.replace("_", "-"))
        hint = str(first.get("ctx", {}).get("hint", ""))
        raise InputError(f"{option} {given[name]}: {first['msg']}", hint=hint) from error


@data.command("import")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--as", "source", default="import", show_default=True, help="Name in the store.")
@_shape
@_store_option
@_json
def import_(path: Path, source: str, root: Path | None, as_json: bool, **shape: Any) -> None:
    """Check the bars of a file and put the valid ones into the store.

    A strategy reads them with `candles: {use: store}`, or `{use: store, source: NAME}`.
    """
    import polars as pl

    from septet_schemas.units import format_duration

    done, bar_ns = _read_file(path, shape)
    bars, store, bar = done.bars, _store(root), format_duration(bar_ns)
    names = ("open", "high", "low", "close", "volume")
    frame = pl.DataFrame(
        {"timestamp": bars.open_ns, **{name: getattr(bars, name) for name in names}}
    )
    span = (int(bars.open_ns[0]), int(bars.open_ns[-1]) + bar_ns)
    fresh, changed = _compared(frame, store.read(source, bars.symbol, bar, *span))
    store.append(source, bars.symbol, bar, frame, span)
    calendar = shape["calendar"]  # none that nobody named: whoever reads the bars is asked again
    store.describe(
        source, bars.symbol, bar, stamp="open", calendar=calendar, imported_from=str(path)
    )
    if as_json:
        _print_json({
            "store": str(store.root), "source": source, **_table_facts(done.bars),
            "new": fresh, "kept_as_they_were": changed,
            "findings": [_finding(each) for each in done.findings],
        })  # fmt: skip
        return
    _show_findings(done.findings)
    echo(f"{fresh:,} bars of {bars.symbol} {bar} stored as {source} in {store.root}.")
    if fresh < len(bars):
        echo(f"{len(bars) - fresh:,} bars were there already.")
    if changed:
        echo(
            f"{changed:,} of them have other values in the file: the stored ones stay. "
            "--as NAME stores the file beside them.",
            err=True,
        )


def _compared(frame: pl.DataFrame, there: pl.DataFrame | None) -> tuple[int, int]:
    """Count the bars of a file that the store lacks, and those that it has with other values."""
    if there is None:
        return frame.height, 0
    both = frame.join(there, on="timestamp", how="inner", suffix="_there")
    names = [name for name in frame.columns if name != "timestamp"]
    import polars as pl

    same = pl.all_horizontal(pl.col(name) == pl.col(f"{name}_there") for name in names)
    return frame.height - both.height, both.height - int(both.select(same.sum()).item())


def _finding(found: Finding) -> dict[str, Any]:
    return {
        "source": found.source, "symbol": found.symbol, "kind": found.kind,
        "policy": found.policy, "count": found.count, "message": found.message,
        "examples": list(found.examples),
    }  # fmt: skip


def _table_facts(bars: BarTable) -> dict[str, Any]:
    from septet._data.stamps import iso

    ends = (iso(bars.known_ns[0]), iso(bars.known_ns[-1])) if len(bars) else (None, None)
    return {"symbol": bars.symbol, "bars": len(bars), "first": ends[0], "last": ends[1]}


def _show_findings(findings: Sequence[Finding]) -> None:
    from rich.console import Group
    from rich.table import Table

    from septet._cli.terminal import console as make_console

    counted = [each for each in findings if each.count]
    console = make_console()
    if counted:
        table = Table("symbol", "finding", "count", "done", "first")
        for each in counted:
            table.add_row(
                each.symbol, Group(each.kind, each.message), f"{each.count:,}",
                each.policy, each.examples[0] if each.examples else "",
            )  # fmt: skip
        console.print(table)
    notes = dict.fromkeys(each.message for each in findings if not each.count)
    for note in notes:
        console.print(f"· {note}", markup=False)


@data.command("list")
@_store_option
@_json
def list_(root: Path | None, as_json: bool) -> None:
    """List what the store holds."""
    from septet._data.stamps import iso

    store = _store(root)
    lines: list[dict[str, Any]] = [
        {
            "source": each.source, "name": each.name, "bar": each.bar, "rows": each.rows,
            "first": None if each.first_ns is None else iso(each.first_ns),
            "last": None if each.last_ns is None else iso(each.last_ns),
            "bytes": each.size, "holes": max(0, len(each.covered) - 1),
        }
        for each in store.entries()
    ]  # fmt: skip
    if as_json:
        _print_json({"store": str(store.root), "entries": lines})
        return
    if not lines:
        echo(f"Nothing stored in {store.root}. Fill it with `septet data fetch`.", err=True)
        return
    from rich.table import Table

    from septet._cli.terminal import console as make_console

    table = Table("source", "name", "bar", "rows", "first", "last", "kB", "holes")
    for line in lines:
        table.add_row(
            str(line["source"]), str(line["name"]), str(line["bar"]), f"{line['rows']:,}",
            str(line["first"] or ""), str(line["last"] or ""), f"{line['bytes'] / 1e3:,.0f}",
            str(line["holes"] or ""),
        )  # fmt: skip
    make_console().print(table)
    echo(f"Stored in {store.root}.")


@data.command()
@click.argument("path", type=click.Path(path_type=Path))
@_shape
@_store_option
@_json
def check(path: Path, root: Path | None, as_json: bool, **shape: Any) -> None:
    """Check the data of a strategy file, or one data file with --bar and --stamp.

    Shows every defect, how often it occurs and what is done about it; refuses what a run would
    refuse.
    """
    if path.suffix.lower() in _STRATEGIES:
        from septet._config.load import load
        from septet._data.load import load_market

        market = load_market(load(path), store=_store(root))
        tables, findings = list(market.bars.values()), market.findings
    else:
        done, _ = _read_file(path, shape)
        tables, findings = [done.bars], done.findings
    facts = [_table_facts(each) for each in tables]
    if as_json:
        _print_json({"symbols": facts, "findings": [_finding(each) for each in findings]})
        return
    _show_findings(findings)
    for each in facts:
        echo(f"{each['symbol']}: {each['bars']:,} bars, {each['first']} to {each['last']}")
