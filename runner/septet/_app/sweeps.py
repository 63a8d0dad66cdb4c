"""Stored sweeps: lists those of a folder, and returns the results of one as charts and texts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from septet._files import read_bounded, require_no_links
from septet._text import decode_json
from septet.errors import Cancelled, DataError, InputError, SeptetError

if TYPE_CHECKING:
    import polars as pl

    from septet._sweep.sweep_findings import Findings

__all__ = ["BEST_LISTED", "SweepStill", "SweepView", "stored_sweeps", "sweep_folder", "sweep_view"]

BEST_LISTED: Final = 20
"""Number of settings in one part of the list."""
_MANIFEST: Final = "manifest.json"
_TABLE: Final = "settings.parquet"
_LARGEST: Final = 16 << 20
_MOST_SWEEPS: Final = 1_000
_MOST_MAPS: Final = 6
_NARROW: Final = 400.0


@dataclass(frozen=True, slots=True)
class SweepStill:
    """A drawing with its title; `narrow` is a variant for windows too narrow for `wide`."""

    title: str
    wide: str
    narrow: str = ""


@dataclass(frozen=True, slots=True)
class SweepView:
    """The results of a sweep.

    `file` is the name of the file that was swept, without its folder; `words` are the paragraphs of
    its verdict, `stills` its drawings, `head` and `rows` the best settings as text; `settings` has
    the settings of each row as ``path=value``, one per line. Of the `ranked` settings with a goal
    the rows skip the first `first`.
    """

    strategy: str
    file: str
    words: tuple[str, ...]
    stills: tuple[SweepStill, ...]
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    settings: tuple[str, ...]
    first: int = 0
    ranked: int = 0


def stored_sweeps(root: Path) -> list[dict[str, str]]:
    """Return the sweeps under a folder, the latest first; an unreadable one has a reason."""
    rows = []
    for key, folder in sorted(_folders(root), key=lambda each: each[1].name, reverse=True):
        row = {"key": key, "sweep_id": folder.name, "strategy": folder.parent.name}
        try:
            manifest = _manifest(folder)
        except SeptetError as error:
            row |= {"state": "damaged", "problem": error.message}
        else:
            space = manifest.get("space")
            count = space.get("settings") if isinstance(space, Mapping) else None
            row |= {
                "state": str(manifest.get("status", "")), "settings": str(count or ""),
                "goal": str(manifest.get("goal", "")), "problem": "",
            }  # fmt: skip
        rows.append(row)
    return rows


def sweep_folder(root: Path, key: str) -> Path:
    """Return the folder of a row of `stored_sweeps`.

    Raises
    ------
    InputError
        If there is none.
    """
    for name, folder in _folders(root):
        if name == key:
            return folder
    raise InputError("there is no such sweep, or no longer", hint="look at the list of sweeps")


def _folders(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield the key and the folder of each sweep; links are not followed."""
    count = 0
    for parent in sorted(_folders_in(root)):
        for folder in sorted(_folders_in(parent)):
            if os.path.lexists(folder / _MANIFEST):
                yield f"{parent.name}/{folder.name}", folder
                count += 1
                if count == _MOST_SWEEPS:
                    return


def _folders_in(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(each.path) for each in entries if each.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        require_no_links(folder)
        text = read_bounded(folder / _MANIFEST, _LARGEST, follow=False).decode("utf-8")
        manifest = decode_json(text)
    except (OSError, ValueError) as error:
        raise InputError(f"the manifest of sweep {folder.name} cannot be read: {error}") from None
    if not isinstance(manifest, dict):
        raise InputError(f"the manifest of sweep {folder.name} is no mapping")
    return manifest


@dataclass(frozen=True, slots=True)
class _Table:
    """A stored table that was not read yet: its columns and the number of its rows."""

    scan: pl.LazyFrame
    columns: list[str]
    rows: int


def _table(folder: Path) -> _Table:
    """Open the table of a sweep without reading its rows."""
    import polars as pl

    from septet._app.large_sweeps import require_page_size
    from septet._data.parquet_bounds import columns_within_memory

    path = folder / _TABLE
    if not path.is_file():
        raise InputError(
            f"sweep {folder.name} is not complete",
            hint="septet sweep FILE --resume goes on with it",
        )
    try:
        scan = pl.scan_parquet(path, glob=False)
        columns = scan.collect_schema().names()
        rows = int(scan.select(pl.len()).collect().item())
        require_page_size(folder.name, rows, columns)
        columns_within_memory(path)
    except (OSError, ValueError, DataError, pl.exceptions.PolarsError) as error:
        raise InputError(f"the settings of sweep {folder.name} cannot be read: {error}") from None
    return _Table(scan, columns, rows)


def sweep_view(folder: Path, first: int = 0, stop: Callable[[], None] = lambda: None) -> SweepView:
    """Return the results of a stored sweep; the list of the best skips the first `first`.

    `stop` is called between the steps, and may raise to end the work.

    Raises
    ------
    InputError
        If it is not complete, has more settings than a page shows, or was damaged.
    """
    manifest, table = _manifest(folder), _table(folder)
    stop()
    try:
        return _view(folder, manifest, table, first, stop)
    except Cancelled:
        raise
    except Exception as error:  # a table or a manifest may come from anybody
        raise InputError(
            f"sweep {folder.name} cannot be shown: its table or manifest is not one that a sweep "
            f"writes ({type(error).__name__})"
        ) from None


def _view(
    folder: Path, manifest: Mapping[str, Any], table: _Table, first: int, stop: Callable[[], None]
) -> SweepView:
    from septet._app.large_sweeps import MOST_JUDGED, best_rows, large_findings, large_words
    from septet._sweep.sweep_findings import findings_of
    from septet._sweep.verdict import paragraphs

    if table.rows <= MOST_JUDGED:
        rows_of_table = table.scan.collect()
        stop()
        findings = findings_of(rows_of_table, manifest)
        texts_of_verdict, best = paragraphs(findings), findings.ranked.slice(first, BEST_LISTED)
    else:
        findings = large_findings(table.scan, table.columns, manifest, stop)
        texts_of_verdict = large_words(findings, folder)
        best = best_rows(table.scan, table.columns, manifest, first, BEST_LISTED)
    stop()
    head, rows, settings = _best(findings, best)
    return SweepView(
        strategy=str(manifest.get("strategy", "")), file=Path(str(manifest.get("file", ""))).name,
        words=tuple(texts_of_verdict), stills=tuple(_stills(findings, stop)), head=head, rows=rows,
        settings=settings, first=first, ranked=findings.ranked.height,
    )  # fmt: skip


def _stills(findings: Findings, stop: Callable[[], None]) -> Iterator[SweepStill]:
    """Yield the map of two keys or the line of one key, and the distribution."""
    from septet._sweep import sweep_charts
    from septet._sweep.chart_data import chart_data

    data = chart_data(findings, most_maps=_MOST_MAPS, stop=stop)

    def still(title: str, draw: Callable[..., str], *arguments: Any) -> SweepStill:
        stop()
        narrow = draw(data, *arguments, width=_NARROW)
        return SweepStill(title, draw(data, *arguments), narrow)

    if data["line"] is not None:
        yield still("Every setting", sweep_charts.line_still)
    names = {key: each["name"] for key, each in data["axes"].items()}
    for item in data["maps"]:
        pair = f"{names[item['x']]} across, {names[item['y']]} up"
        yield still(f"Best of each place: {pair}", sweep_charts.map_still, item, "best")
        if any(size > 1 for row in item["of"] for size in row):
            yield still(f"Middle of each place: {pair}", sweep_charts.map_still, item, "middle")
    if findings.best is not None:
        yield SweepStill("All settings", sweep_charts.spread_still(data))


def _best(
    findings: Findings, best: pl.DataFrame
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...], tuple[str, ...]]:
    from septet._results.number_texts import chance, count, number, percent

    rows, settings = [], []
    for row in best.iter_rows(named=True):
        values = [axis.text(row[axis.key]) for axis in findings.axes]
        rows.append(
            (
                count(row["setting"]), *values, number(row["sharpe"]), chance(row["psr"]),
                chance(row["dsr"]), percent(row["total_return"], signed=True),
                percent(row["max_drawdown"]), count(row["trades"]),
            )
        )  # fmt: skip
        settings.append(
            "\n".join(
                f"{swept.key}={text}" for swept, text in zip(findings.axes, values, strict=True)
            )
        )
    head = ("Setting", *(axis.name for axis in findings.axes), "Sharpe", "PSR", "DSR", "Return",
            "Drawdown", "Trades")  # fmt: skip
    return head, tuple(rows), tuple(settings)
