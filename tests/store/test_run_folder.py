from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from septet._data.stamps import iso
from septet._report import page
from septet._report.save import save_run
from septet._store import run_folder as run_module
from septet._store.find_runs import find_run, list_runs, open_run
from septet._store.run_folder import RunWriter, folder_name
from septet._text import dump_json
from septet.errors import InputError, RunError
from tests.report.synthetic import make_result

ROOT = Path(__file__).resolve().parents[2]
NOW_NS = 1_760_000_000_000_000_000
FILES = {
    "bars.parquet",
    "decisions.parquet",
    "equity.parquet",
    "fills.parquet",
    "findings.json",
    "manifest.json",
    "models",
    "monitoring.parquet",
    "orders.parquet",
    "predictions.parquet",
    "report.html",
    "resolved.json",
    "round_trips.parquet",
    "strategy.yaml",
    "summary.json",
    "trades.parquet",
}


def small(**change: Any) -> Any:
    return replace(make_result(symbols=("BTC/USDT",), bars=700), **change)


def everything(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_a_run_is_a_folder_with_everything(tmp_path: Path) -> None:
    run = save_run(small(), tmp_path, now_ns=NOW_NS)
    assert {path.name for path in run.folder.iterdir()} == FILES
    assert (run.folder / "models" / "model-1.json").read_bytes() == b"{}"
    assert run.folder.parent.name == "hourly-majors"
    assert run.run_id == run.folder.name
    assert run.run_id.startswith("20251009T085320Z-")


def test_a_run_without_a_model_has_no_predictions(tmp_path: Path) -> None:
    run = save_run(small(predictions=None, models=(), model_files={}), tmp_path)
    assert not run.has("predictions")
    assert run.table("predictions").height == 0
    assert not (run.folder / "models").exists()


def test_the_manifest_shows_what_the_result_depends_on(tmp_path: Path) -> None:
    run = save_run(small(manifest={"plan_hash": "abc"}), tmp_path, now_ns=NOW_NS)
    manifest = json.loads((run.folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["run_id"] == run.run_id
    assert manifest["seed"] == 7
    assert manifest["plan_hash"] == "abc"
    assert manifest["plugins"] == {"septet": "0.1.0"}
    assert manifest["resolved"]["signal"] == {"use": "confidence", "threshold": 0.3}
    assert {"numpy", "numba", "polars", "scikit-learn"} <= set(manifest["libraries"])
    assert {"cpu", "libm", "llvm", "python"} <= set(manifest["environment"])
    assert all(manifest["environment"].values())
    assert len(manifest["data_hashes"]["BTC/USDT"]) == 64
    assert set(manifest["model_hashes"]) == {"model-1.json"}
    assert run.facts == small().facts


def test_data_hashes_follow_the_data(tmp_path: Path) -> None:
    one = save_run(small(), tmp_path, report=False).manifest["data_hashes"]
    two = save_run(small(), tmp_path, report=False).manifest["data_hashes"]
    other = save_run(make_result(symbols=("BTC/USDT",), bars=700, seed=8), tmp_path, report=False)
    assert one == two
    assert other.manifest["data_hashes"] != one


def test_tables_are_zstd_with_utc_times(tmp_path: Path) -> None:
    run = save_run(small(), tmp_path, report=False)
    for name in ("decisions", "orders", "fills", "equity", "bars", "monitoring", "predictions"):
        schema = pl.read_parquet_schema(run.folder / f"{name}.parquet")
        assert schema["time"] == pl.Datetime("ns", "UTC"), name
    columns = list(pl.read_parquet_schema(run.folder / "decisions.parquet"))
    assert columns[:3] == ["time", "symbol", "rsi_14"]
    assert columns[-2:] == ["rejected_by", "late"]


def test_two_runs_of_one_instant_have_two_ids(tmp_path: Path) -> None:
    ids = {save_run(small(), tmp_path, now_ns=NOW_NS, report=False).run_id for _ in range(3)}
    assert len(ids) == 3


def test_two_writers_at_once_have_two_ids(tmp_path: Path) -> None:
    with (
        RunWriter(tmp_path, "s", now_ns=NOW_NS) as one,
        RunWriter(tmp_path, "s", now_ns=NOW_NS) as two,
    ):
        assert one.run_id != two.run_id
        one.commit()
        two.commit()
    assert len(list((tmp_path / "s").iterdir())) == 2


@pytest.mark.parametrize("table", ["decisions", "trades", "equity"])
def test_a_bad_table_leaves_nothing(tmp_path: Path, table: str) -> None:
    root = tmp_path / "runs"
    with pytest.raises(ValueError, match=f"table {table} lacks the columns"):
        save_run(small(**{table: {"x": [1]}}), root)
    assert not root.exists()


def test_a_report_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(run: object) -> str:
        raise RuntimeError("drawing failed")

    monkeypatch.setattr(page, "render", broken)
    with pytest.raises(RuntimeError, match="drawing failed"):
        save_run(small(), tmp_path)
    assert everything(tmp_path) == []


def test_an_interrupt_leaves_nothing_and_earlier_runs_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = save_run(small(), tmp_path, report=False)

    def interrupted(run: object) -> str:
        assert len(list_runs(tmp_path)) == 1, "a half-written run was listed"
        raise KeyboardInterrupt

    monkeypatch.setattr(page, "render", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_run(small(), tmp_path)
    assert [run.run_id for run in list_runs(tmp_path)] == [kept.run_id]
    assert [path.name for path in kept.folder.parent.iterdir()] == [kept.run_id]


def test_a_folder_left_by_a_crash_is_no_run(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, "s", now_ns=NOW_NS)
    writer.write_json("summary.json", {"run_id": writer.run_id})
    assert list_runs(tmp_path) == []
    with pytest.raises(InputError, match="there are no runs"):
        find_run("latest", tmp_path)


def test_a_root_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be stored"):
        RunWriter(tmp_path / "file", "s")


def test_files_stay_inside_the_folder(tmp_path: Path) -> None:
    with RunWriter(tmp_path, "s") as writer, pytest.raises(ValueError, match="outside"):
        writer.write_text("../escaped", "x")


@pytest.mark.parametrize(
    ("strategy", "name"),
    [("../../etc", "etc"), ("a b/c", "a-b-c"), ("...", "strategy"), ("ok-1.2_x", "ok-1.2_x")],
)
def test_a_strategy_name_is_one_folder(strategy: str, name: str) -> None:
    assert folder_name(strategy) == name


def test_json_has_no_infinity() -> None:
    text = dump_json({"a": float("inf"), "b": [float("nan"), 1.5], 3: Path("x"), "c": (True, None)})
    assert json.loads(text) == {"a": None, "b": [None, 1.5], "3": "x", "c": [True, None]}


def test_times_are_iso() -> None:
    assert iso(NOW_NS) == "2025-10-09T08:53:20Z"
    assert iso(NOW_NS + 1) == "2025-10-09T08:53:20.000000001Z"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("summary.json", "[]", "summary.json holds a list"),
        ("summary.json", "{", "summary.json cannot be read"),
        ("manifest.json", None, "manifest.json is missing"),
        ("manifest.json", "{}", "lacks its facts"),
        ("trades.parquet", "not parquet", "trades.parquet cannot be read"),
        ("equity.parquet", None, "equity.parquet is missing"),
        ("findings.json", "\xff", "findings.json cannot be read"),
    ],
)
def test_a_damaged_run_is_reported(
    tmp_path: Path, name: str, content: str | None, words: str
) -> None:
    folder = save_run(small(), tmp_path, report=False).folder
    path = folder / name
    path.unlink() if content is None else path.write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match=words) as problem:
        page.render(open_run(folder))
    assert str(folder) in str(problem.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"trades": None}, "should hold a count under trades, found None"),
        ({"sharpe": "high"}, "should hold a number under sharpe, found 'high'"),
        ({"verdict": 3}, "should hold a text under verdict, found 3"),
    ],
)
def test_a_summary_of_other_kinds_is_damaged(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    run = save_run(small(), tmp_path, report=False)
    (run.folder / "summary.json").write_text(dump_json({**run.summary, **change}), "utf-8")
    with pytest.raises(InputError, match=words):
        open_run(run.folder)
    (run.folder / "summary.json").write_text("{}", "utf-8")
    with pytest.raises(InputError, match="a text under run_id, found nothing"):
        find_run("latest", tmp_path)


@pytest.mark.parametrize(
    ("table", "column"), [("equity", "equity"), ("trades", "entry_time"), ("orders", "order_id")]
)
def test_a_column_of_another_type_is_damaged(tmp_path: Path, table: str, column: str) -> None:
    run = save_run(small(), tmp_path, report=False)
    wrong = run.table(table).with_columns(pl.lit(True).alias(column))
    wrong.write_parquet(run.folder / f"{table}.parquet")
    with pytest.raises(InputError, match=f"holds Boolean in {column}"):
        open_run(run.folder).table(table)


def test_a_table_with_other_columns_is_damaged(tmp_path: Path) -> None:
    run = save_run(small(), tmp_path, report=False)
    pl.DataFrame({"x": [1]}).write_parquet(run.folder / "equity.parquet")
    with pytest.raises(InputError, match="lacks the columns"):
        open_run(run.folder).table("equity")
    with pytest.raises(InputError, match="lacks the columns"):
        open_run(run.folder).table("equity", ["time"])


def no_room(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("owner", "method", "file"),
    [
        (pl.DataFrame, "write_parquet", ".parquet"),
        (run_module, "replace_file", "findings.json"),
        (Path, "rename", "2025"),
    ],
)
def test_a_full_disk_ends_with_words_and_leaves_no_run(
    owner: Any, method: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = save_run(small(), tmp_path, now_ns=NOW_NS)
    before = everything(tmp_path)
    monkeypatch.setattr(owner, method, no_room)
    with pytest.raises(RunError, match="No space left on device") as caught:
        save_run(small(), tmp_path, now_ns=NOW_NS + 1)
    assert file in caught.value.message
    assert caught.value.exit_code == 1
    monkeypatch.undo()
    assert everything(tmp_path) == before
    assert [run.run_id for run in list_runs(tmp_path)] == [kept.run_id]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit of the size of files")
def test_a_table_that_hits_a_limit_of_the_system_leaves_no_run(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import resource, sys
        from pathlib import Path
        from septet._report.save import save_run
        from septet.errors import RunError
        from tests.report.synthetic import make_result
        result = make_result(symbols=("BTC/USDT",), bars=700)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            save_run(result, Path(sys.argv[1]) / "runs")
        except RunError as error:
            print(error.message)
    """)
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert "File too large" in done.stdout
    assert everything(tmp_path) == []


def test_decisions_that_were_left_out_are_not_stored_and_reported(tmp_path: Path) -> None:
    whole = save_run(small(), tmp_path, now_ns=NOW_NS)
    fast = save_run(small(decisions=None, left_out=("decisions",)), tmp_path, now_ns=NOW_NS + 10**9)
    assert fast.left_out == ("decisions",)
    assert whole.left_out == ()
    assert not fast.has("decisions")
    with pytest.raises(InputError, match="--fast") as caught:
        fast.table("decisions")
    assert "without --fast" in (caught.value.hint or "")
    assert fast.summary["rejections"] is None
    differing = {key for key in whole.summary if whole.summary[key] != fast.summary[key]}
    assert differing <= {"run_id", "rejections", "seconds_total", "verdict"}
    capped = " Every entry was capped by a limit (position 3 times): it had 83.3 % of the size that"
    assert fast.summary["verdict"] == whole.summary["verdict"].replace(
        f"{capped} the sizing asked for.", ""
    ), "what only decisions show is not in the verdict"
    for name in ("orders", "fills", "trades", "equity", "bars", "monitoring"):
        assert fast.table(name).equals(whole.table(name))
