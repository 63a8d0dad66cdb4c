"""The commands for market data: data fetch, import, list and check."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from septet._app.documents import to_json
from septet._cli import options
from septet._cli.terminal import echo, echo_json
from septet.errors import InputError

if TYPE_CHECKING:
    from septet._app.data import Shape
    from septet._data.bar_store import BarStore
    from septet._data.bars import Finding
    from septet._data.source import FetchReport
    from septet._progress import Progress

__all__ = ["data"]

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

        def report(stage: str, done: int, total: int | None, item: str, /) -> None:
            if item not in tasks:
                tasks[item] = display.add_task(item, total=total)
            display.update(tasks[item], completed=done, total=total)

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
    *,
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

    Only data that the store does not have are requested. After an interruption the same command
    continues where it stopped.
    """
    from septet._app.data import exchange_jobs, fetch_jobs, strategy_jobs

    span = _moment(since), _moment(until, ends=True)
    store = _store(root)
    if (file is None) == (exchange is None):
        raise InputError(
            "septet data fetch takes a strategy FILE or --exchange, one of the two",
            hint="septet data fetch --exchange binance --symbol BTC/USDT --bar 1h "
            "--since 2023-01-01",
        )
    if file is not None:
        jobs = strategy_jobs(file, store, span, options.access_of(secrets, hosts))
    else:
        jobs = exchange_jobs(str(exchange), symbols, bar, store, span)
    with _progress() as progress:
        reports = fetch_jobs(jobs, progress)
    _show_reports(reports, store, as_json=as_json)


def _show_reports(reports: list[FetchReport], store: BarStore, *, as_json: bool) -> None:
    lines: list[dict[str, Any]] = [
        {"name": each.name, "rows": each.rows, "requests": each.requests, "notes": each.notes}
        for each in reports
    ]
    if as_json:
        echo_json(to_json({"store": str(store.root), "fetched": lines}))
        return
    if not lines:
        echo("Nothing to download: this strategy reads files or bundled data.")
        return
    for line in lines:
        notes = f" ({'; '.join(line['notes'])})" if line["notes"] else ""
        echo(f"{line['name']}: {line['rows']:,} new rows in {line['requests']} requests{notes}")
    echo(f"Stored in {store.root}.")


_SHAPE: Final = (
    click.option("--symbol", help="Symbol of the rows, unless there is a symbol column."),
    click.option("--bar", help="The length of a bar, such as 1h."),
    click.option("--stamp", type=click.Choice(["open", "close"]), help="What the stamps mark."),
    click.option("--time-zone", help="Zone of stamps without one: UTC, America/New_York."),
    click.option("--calendar", help="24x7, XFX, or an exchange such as XNYS."),
    click.option("--adjust", type=click.Choice(["none", "splits", "total"])),
    click.option("--time-format", help="Time format of text files: %d/%m/%Y %H:%M."),
    click.option(
        "--column", "columns", multiple=True, metavar="OURS=THEIRS",
        help="A column's name in the file: --column close=Px. May be repeated.",
    ),
    click.option(
        "--key", "keys", multiple=True, metavar="KEY=VALUE",
        help="Another key beside the path, as in a strategy file: --key encoding=utf-16. "
        "May be repeated.",
    ),
)  # fmt: skip


def _shape(command: Any) -> Any:
    for option in reversed(_SHAPE):
        command = option(command)
    return command


def _shape_of(chosen: dict[str, Any]) -> Shape:
    from septet._app.data import Shape

    columns = tuple(each.partition("=")[::2] for each in chosen["columns"])
    keys = tuple(each.partition("=")[::2] for each in chosen["keys"])
    return Shape(**{**chosen, "columns": columns, "keys": keys})


@data.command("import")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--as", "source", default="import", show_default=True, help="Name in the store.")
@_shape
@_store_option
@_json
def import_(path: Path, source: str, root: Path | None, as_json: bool, **shape: Any) -> None:
    """Check the bars of a file and import the valid ones to the store.

    A strategy reads them with `candles: {use: store}`, or `{use: store, source: NAME}`.
    """
    from septet._app.data import import_file

    imported = import_file(path, source, _store(root), _shape_of(shape))
    if as_json:
        echo_json(to_json(imported))
        return
    _show_findings(imported.findings)
    bars = len(imported.table)
    echo(
        f"{imported.new:,} bars of {imported.table.symbol} {imported.bar} stored as {source} in "
        f"{imported.root}."
    )
    if imported.new < bars:
        echo(f"{bars - imported.new:,} bars were there already.")
    if imported.kept:
        echo(
            f"{imported.kept:,} of them have other values in the file: the stored ones stay. "
            "--as NAME stores the file beside them.",
            err=True,
        )


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
    """List the contents of the store."""
    from septet._app.data import store_lines

    store = _store(root)
    lines = store_lines(store)
    if as_json:
        echo_json(to_json({"store": str(store.root), "entries": lines}))
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
    from septet._app.data import check_data_file, check_strategy_data, table_facts

    if path.suffix.lower() in _STRATEGIES:
        checked = check_strategy_data(path, _store(root))
    else:
        checked = check_data_file(path, _shape_of(shape))
    if as_json:
        echo_json(to_json(checked))
        return
    _show_findings(checked.findings)
    for each in map(table_facts, checked.tables):
        echo(f"{each['symbol']}: {each['bars']:,} bars, {each['first']} to {each['last']}")
