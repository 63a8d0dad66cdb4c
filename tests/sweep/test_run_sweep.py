"""The sweep around its evaluator: blocks, parts, interruptions, resuming, asking."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from septet import _files as files
from septet._config.load import Loaded
from septet._sweep import folder as sweep_folder
from septet._sweep import run_sweep as sweep_run
from septet._sweep.evaluate import Evaluator
from septet._sweep.folder import differences, open_unfinished
from septet._sweep.run_sweep import duration_text, estimate_seconds, next_size, run_sweep
from septet._sweep.setting_row import daily_figures, failed_row, row_of
from septet._sweep.space import Setting, Space
from septet.errors import ConfigError, InputError, RunError
from tests.sweep.files import BASE, space, swept

pytestmark = pytest.mark.compiled

FASTS = str(list(range(5, 20)))
CAPITAL = "account.capital: {from: 100, to: 252, step: 8}"
GRID = f"{{over: {{features.fast.period: {FASTS}, {CAPITAL}}}}}"
"""Two axes of some values each: every value of an axis is checked once at each beginning."""
SETTINGS = 15 * 20
Rows = list[dict[str, Any]]


class Made:
    """Rows worked out from the values alone; may be interrupted or run a hook before."""

    def __init__(self, space: Space, before: Callable[[int], None]) -> None:
        self.space, self.before = space, before
        self.blocks: list[list[int]] = []
        self.closed = 0

    def evaluate(self, block: Sequence[Setting]) -> Rows:
        self.before(sum(map(len, self.blocks)))
        self.blocks.append([each.number for each in block])
        return [self._row(each) for each in block]

    def _row(self, setting: Setting) -> dict[str, Any]:
        if setting.number % 50 == 7:
            return failed_row(self.space, setting, "it is the seventh")
        import numpy as np

        returns = np.random.default_rng(setting.number).normal(0.001, 0.01, 90)
        capital = self.space.values(setting)["account.capital"]
        figures = dict.fromkeys(
            ("final_equity", "total_return", "sortino", "max_drawdown", "win_rate",
             "profit_factor", "fees", "funding", "liquidation", "slippage", "turnover",
             "exposure"), capital,
        )  # fmt: skip
        sharpe = float(returns.mean() / returns.std(ddof=1)) * math.sqrt(365)
        counts = {"bars": 100, "trades": 40}
        row = {**counts, **figures, "sharpe": sharpe, **daily_figures(returns)}
        return row_of(self.space, setting, row)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Made]]:
    """Every evaluator a sweep opened; `before` is what the next one does before each block."""
    opened: list[Made] = []

    def open_it(loaded: Loaded, space: Space, *rest: object) -> Evaluator:
        opened.append(Made(space, lambda done: BEFORE[0](done)))
        return opened[-1]

    monkeypatch.setattr(sweep_run, "open_evaluator", open_it)
    BEFORE[0] = lambda done: None
    yield opened
    BEFORE[0] = lambda done: None


BEFORE: list[Callable[[int], None]] = [lambda done: None]


def interrupt_after(count: int) -> Callable[[int], None]:
    def before(done: int) -> None:
        if done >= count:
            raise KeyboardInterrupt

    return before


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """The table of a sweep of the grid that nobody interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            sweep_run, "open_evaluator", lambda loaded, space, *_: Made(space, lambda done: None)
        )
        return run_sweep(swept(folder, GRID), folder / "out").table


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sweep of the grid that was interrupted after nine settings."""
    folder = tmp_path_factory.mktemp("interrupted")
    with pytest.MonkeyPatch.context() as patch:
        stop = interrupt_after(9)
        patch.setattr(sweep_run, "open_evaluator", lambda loaded, space, *_: Made(space, stop))
        with pytest.raises(KeyboardInterrupt):
            run_sweep(swept(folder, GRID), folder / "out")
    return folder / "out"


def _beside_data(expected: list[str]) -> list[str]:
    """What was printed of anything but the rows of the sample."""
    return [each for each in expected if not each.startswith("warning: 0.16 % of the rows")]


def same(table: pl.DataFrame, other: pl.DataFrame) -> bool:
    return table.equals(other, null_equal=True)


def test_every_setting_gets_one_row(tmp_path: Path, made: list[Made]) -> None:
    loaded = swept(tmp_path, GRID)
    reported: list[tuple[str, int, int | None, str]] = []
    outcome = run_sweep(loaded, tmp_path / "out", progress=lambda *each: reported.append(each))
    table = pl.read_parquet(outcome.folder / "settings.parquet")
    assert same(table, outcome.table)
    assert table["setting"].to_list() == list(range(SETTINGS))
    assert table.columns == [
        "setting", "features.fast.period", "account.capital", "status", "problem", "bars",
        "trades", "final_equity", "total_return", "sharpe", "sortino", "max_drawdown", "win_rate",
        "profit_factor", "fees", "funding", "liquidation", "slippage", "turnover", "exposure",
        "excess_sharpe", "days", "skew", "kurtosis", "block_sums", "block_squares",
        "over_sharpe", "over_skew", "over_kurtosis", "over_sums", "over_squares",
            "invalid_answers", "psr", "dsr", "size_cap",
    ]  # fmt: skip
    assert table["features.fast.period"].dtype == pl.Float64
    assert table.filter(status="failed")["setting"].to_list() == [7, 57, 107, 157, 207, 257]
    assert table.filter(status="failed")["problem"].unique().to_list() == ["it is the seventh"]
    assert (outcome.folder / "sweep.html").is_file()
    assert sorted(path.name for path in outcome.folder.iterdir()) == [
        "manifest.json", "settings.parquet", "sweep.html",
    ]  # fmt: skip
    manifest = json.loads((outcome.folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["status"] == "complete"
    assert manifest["space"]["over"][1]["values"][:2] == ["100", "108"]
    assert reported[-1][:3] == ("sweep", SETTINGS, SETTINGS)
    best = table.sort("sharpe", descending=True, nulls_last=True).row(0, named=True)
    assert reported[-1][3] == (
        f"sharpe {best['sharpe']:.4g} with features.fast.period="
        f"{best['features.fast.period']:.0f}, account.capital={best['account.capital']:.0f}"
    )
    assert made[0].closed == 1


def test_what_is_done_stays_and_the_rest_follows(
    tmp_path: Path, made: list[Made], whole: pl.DataFrame
) -> None:
    loaded = swept(tmp_path, GRID)
    out, logged = tmp_path / "out", list[str]()
    BEFORE[0] = interrupt_after(9)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(loaded, out, log=logged.append)
    (folder,) = out.glob("cross/*")
    parts = list((folder / "parts").glob("*.parquet"))
    done = sum(pl.read_parquet(path).height for path in parts)
    assert done == sum(map(len, made[0].blocks)) >= 9
    assert logged[-1] == f"stopped: {done} of {SETTINGS} settings are in {folder}; " + (
        "--resume goes on with the rest"
    )
    assert made[0].closed == 1
    BEFORE[0] = lambda done: None
    again = run_sweep(loaded, out, resume=True, log=logged.append)
    assert f"{done} of {SETTINGS} settings were done before" in logged
    assert again.folder == folder
    assert again.done_before == done
    assert sum(map(len, made[1].blocks)) == SETTINGS - done, "nothing is run twice"
    assert same(again.table, whole)
    assert not (folder / "parts").exists()
    with pytest.raises(InputError, match="no sweep of cross is unfinished"):
        run_sweep(loaded, out, resume=True)


def _part_of(interrupted: Path, out: Path) -> Path:
    """Copy an interrupted sweep; return the one part that it has written."""
    shutil.copytree(interrupted, out)
    (part,) = out.glob("cross/*/parts/*.parquet")
    return part


def test_a_part_that_cannot_be_read_is_made_again(
    tmp_path: Path, made: list[Made], whole: pl.DataFrame, interrupted: Path
) -> None:
    loaded, out, logged = swept(tmp_path, GRID), tmp_path / "out", list[str]()
    part = _part_of(interrupted, out)
    part.write_bytes(part.read_bytes()[:100])
    (part.parent / ".00007.parquet").write_bytes(b"half a par")
    (part.parent / "x.parquet").write_bytes(b"no part")
    assert same(run_sweep(loaded, out, resume=True, log=logged.append).table, whole)
    assert _beside_data(logged) == [
        f"{each} cannot be read: its settings are run again"
        for each in (part, part.with_name("x.parquet"))
    ]


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        (lambda part: part.drop("invalid_answers"), "has other columns than a part of this sweep"),
        (lambda part: part.with_columns(pl.lit("x").alias("sharpe")), "has other columns"),
        (
            lambda part: part.with_columns(pl.col("setting") + 1_000),
            "has rows that are no settings",
        ),
        (lambda part: pl.concat([part] * 100), "has rows that are"),
        (lambda part: pl.concat([part, part[:1]]), "has a second row of a setting"),
        (
            lambda part: part.with_columns(pl.col("account.capital") + 1.0),
            "has values of account.capital that its settings do not have",
        ),
        (
            lambda part: part.with_columns(pl.lit(None, pl.Float64).alias("account.capital")),
            "has values of account.capital that",
        ),
        (lambda part: part.with_columns(status=pl.lit("EVIL")), "has a status that no sweep"),
        (lambda part: part.with_columns(status=pl.lit("pruned")), "has a status that no sweep"),
        (lambda part: part.with_columns(status=pl.lit(None, pl.String)), "has a status that no"),
        (lambda part: part.with_columns(status=pl.lit("failed")), "has figures of settings that"),
        (lambda part: part.with_columns(problem=pl.lit("x")), "has figures of settings that did"),
    ],
)
def test_a_part_of_something_else_is_made_again(
    tmp_path: Path,
    made: list[Made],
    whole: pl.DataFrame,
    interrupted: Path,
    changed: Callable[[pl.DataFrame], pl.DataFrame],
    problem: str,
) -> None:
    loaded, out, logged = swept(tmp_path, GRID), tmp_path / "out", list[str]()
    part = _part_of(interrupted, out)
    changed(pl.read_parquet(part)).write_parquet(part)
    assert same(run_sweep(loaded, out, resume=True, log=logged.append).table, whole)
    (sentence,) = _beside_data(logged)
    assert sentence.startswith(f"{part} {problem}")


@pytest.mark.parametrize(
    "text", ["[]", '"x"', '{"status": "running", "format": 1, "plugin_checks": [1, {"a": 2}]}']
)
def test_a_manifest_of_something_else_is_a_message(
    tmp_path: Path, made: list[Made], text: str
) -> None:
    loaded, out = swept(tmp_path, GRID), tmp_path / "out"
    folder = out / "cross" / "20260101T000000Z-000000"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(text)
    with pytest.raises(InputError):
        run_sweep(loaded, out, resume=True)


def test_a_full_disk_keeps_what_is_done(
    tmp_path: Path, made: list[Made], whole: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, out = swept(tmp_path, GRID), tmp_path / "out"
    monkeypatch.setattr(sweep_run, "KEEP_SECONDS", -1.0)  # every block is stored at once
    BEFORE[0] = interrupt_after(9)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(loaded, out)
    (folder,) = out.glob("cross/*")
    before = {path.name for path in (folder / "parts").glob("*.parquet")}

    def no_room(*given: Any, **named: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def fill(done: int) -> None:
        monkeypatch.setattr(sweep_folder, "replace_file", no_room)

    BEFORE[0] = fill
    with pytest.raises(RunError, match=r"cannot be written .* No space left") as full:
        run_sweep(loaded, out, resume=True)
    assert full.value.exit_code == 1
    assert "--resume" in full.value.hint
    assert {path.name for path in (folder / "parts").glob("*.parquet")} == before
    BEFORE[0] = lambda done: None
    monkeypatch.setattr(sweep_folder, "replace_file", files.replace_file)
    assert same(run_sweep(loaded, out, resume=True).table, whole)


def test_nowhere_to_write(tmp_path: Path, made: list[Made]) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(InputError, match="the sweep cannot be stored in") as refused:
        run_sweep(swept(tmp_path, GRID), tmp_path / "out")
    assert "--out" in refused.value.hint


def test_one_process_at_a_time(tmp_path: Path, made: list[Made]) -> None:
    loaded, out = swept(tmp_path, GRID), tmp_path / "out"
    BEFORE[0] = interrupt_after(1)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(loaded, out)
    with (
        open_unfinished(out, "cross"),
        pytest.raises(InputError, match="another process works on the sweep"),
    ):
        run_sweep(loaded, out, resume=True)


def test_what_is_resumed_is_what_was_begun(
    tmp_path: Path, made: list[Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    BEFORE[0] = interrupt_after(1)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(swept(tmp_path, GRID.replace(FASTS, "[5, 10, 20]")), out)
    other = GRID.replace(FASTS, "[5, 10]")
    base = BASE.replace("period: 100", "period: 90").replace("fee: 10bps", "fee: 20bps")
    monkeypatch.setattr(sweep_run, "library_versions", lambda: {"numpy": "1.0"})
    with pytest.raises(InputError, match="was begun with something else") as refused:
        run_sweep(swept(tmp_path, other, base=base), out, resume=True)
    message = str(refused.value)
    for line in (
        "features.slow.period was 100, is 90",
        "execution.simulation.fee.taker was 0.001, is 0.002",
        "sweep.over.features.fast.period was [5, 10, 20], is [5, 10]",
        "numpy was ",
    ):
        assert line in message


def test_differences_are_named() -> None:
    before = {
        "septet": "0.1", "python": "3.11.7", "plugins": {"other": "1.0"},
        "libraries": {"numba": "0.60"}, "data_hashes": {"BTC/USD": "a" * 64},
        "resolved": {"risk": {"sizing": {"fraction": 0.5}}}, "first_decision": "x",
        "space": {"over": [{"key": "a.b", "values": ["1"]}], "seed": 1},
    }  # fmt: skip
    assert differences(before, before) == []
    now = json.loads(json.dumps(before))
    now["septet"], now["python"] = "0.2", "3.12.1"
    now["plugins"] = {"other": "1.1", "new": "2"}
    now["data_hashes"]["BTC/USD"] = "b" * 64
    now["space"] = {"over": [{"key": "a.c", "values": ["1"]}], "seed": 2}
    assert differences(before, now) == [
        "septet was 0.1, is 0.2",
        "python was 3.11.7, is 3.12.1",
        "plugin other was 1.0, is 1.1",
        "plugin new was nothing, is 2",
        "sweep.over.a.b was [1], is nothing",
        "sweep.seed was 1, is 2",
        "sweep.over.a.c was nothing, is [1]",
        "data of BTC/USD was aaaaaaaaaaaa..., is bbbbbbbbbbbb...",
    ]


# ------------------------------------------------------------------ sizes and time


def test_blocks_take_half_a_second() -> None:
    assert next_size(1, 10.0, 1) == 1
    assert next_size(1, 0.001, 1) == 8, "no more than eightfold at once"
    assert next_size(8, 0.02, 1) == 64
    assert next_size(100, 0.5, 1) == 100
    assert next_size(100, 5.0, 4) == 10
    assert next_size(1_000_000, 0.0, 1) == 20_000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.1, "1 second"), (59, "59 seconds"), (119, "119 seconds"), (150, "2 minutes"),
        (7_200, "2 hours"), (100_000, "28 hours"), (10 * 86_400, "10 days"),
    ],
)  # fmt: skip
def test_durations_as_a_person_writes_them(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_the_time_is_measured_on_a_few_settings(tmp_path: Path) -> None:
    whole = space(tmp_path, GRID)
    evaluator = Made(whole, lambda done: None)
    ticks = iter([100.0, 104.0])
    seconds, probed = estimate_seconds(whole, evaluator, 2, clock=lambda: next(ticks))
    assert probed == 8
    assert seconds == pytest.approx(4.0 / 8 * SETTINGS)
    *warm, timed = evaluator.blocks
    assert [len(each) for each in warm] == [1, 2]
    assert (timed[0], timed[-1], len(timed)) == (0, SETTINGS - 1, 8)


def test_a_large_grid_asks_first(
    tmp_path: Path, made: list[Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    section = (
        "{over: {features.fast.period: {from: 1, to: 500, step: 1}, features.slow.period: "
        "{from: 1, to: 200, step: 1}, account.capital: {from: 1, to: 100, step: 1}}}"
    )
    loaded = swept(Path(), section)
    monkeypatch.setattr(sweep_run, "numbers_of", lambda loaded, space, **more: _no_numbers(space))
    monkeypatch.setattr(sweep_run, "estimate_seconds", lambda *a: (36_000.0, 8))
    with pytest.raises(ConfigError) as refused:
        run_sweep(loaded, Path("out"), threads=2)
    assert refused.value.exit_code == 2
    assert str(refused.value) == (
        "cross.yaml:15:15: sweep.over: this sweep has 10,000,000 settings and would take about 10 "
        "hours, as measured on 8 of them\n"
        "  expected: at most 100,000 settings, or --yes\n"
        "  hint: run it with --yes, take larger steps, or draw some: --method random --trials 1000"
    )
    assert not Path("out").exists(), "nothing is begun"
    assert made[0].closed == 1
    BEFORE[0] = interrupt_after(100)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(loaded, Path("out"), threads=2, confirmed=True)
    assert list(Path("out").glob("cross/*/parts/*.parquet"))


def _no_numbers(space: Space) -> Any:
    from septet._sweep.swept_parameters import AxisNumbers

    class Nothing:
        axes = tuple(AxisNumbers(axis.key, "", (), (), (), ()) for axis in space.axes)

    return Nothing()


def test_a_setting_has_one_row_in_all_parts(
    tmp_path: Path, made: list[Made], whole: pl.DataFrame, interrupted: Path
) -> None:
    loaded, out, logged = swept(tmp_path, GRID), tmp_path / "out", list[str]()
    part = _part_of(interrupted, out)
    again = part.with_name("00003.parquet")
    pl.read_parquet(part).with_columns(sharpe=pl.lit(99.0)).write_parquet(again)
    outcome = run_sweep(loaded, out, resume=True, log=logged.append)
    assert same(outcome.table, whole)
    assert f"{again} has a second row of a setting: its settings are run again" in logged


def test_a_manifest_that_is_nested_too_deeply_is_named(tmp_path: Path, made: list[Made]) -> None:
    folder = tmp_path / "out" / "cross" / "20260101T000000Z-000000"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("[" * 100_000)
    with pytest.raises(InputError) as refused:
        run_sweep(swept(tmp_path, GRID), tmp_path / "out", resume=True)
    assert f"{folder / 'manifest.json'} cannot be read: it is nested more than 100 levels deep" in (
        refused.value.message
    )
