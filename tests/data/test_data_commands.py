"""septet data fetch, import, list and check."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from septet._app.data_options import hint_of_options
from septet.cli import main
from tests.data.helpers import START_NS, clean
from tests.data.test_ccxt_history import FIRST_MS, OPTIONS
from tests.data.test_http_json import Site
from tests.data.test_load_market import BASE
from tests.data.test_zones import sessions
from tests.data.venue import Venue, serve, venue


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEPTET_DATA", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def exchange() -> Iterator[Venue]:
    with venue(FIRST_MS, 1_200) as running:
        yield running


def run(*words: str, code: int = 0) -> None:
    with pytest.raises(SystemExit) as left:
        main(["data", *words])
    assert left.value.code == code


def document(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    capsys.readouterr()
    run(*words, "--json")
    return json.loads(capsys.readouterr().out)


def strategy(place: Path, **changes: Any) -> str:
    tree = {**BASE, **{key: {**BASE[key], **value} for key, value in changes.items()}}
    (place / "x.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    return "x.yaml"


def test_import_list_and_use(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean(300).write_csv(place / "rows.csv")
    run("list")
    assert "Nothing stored" in capsys.readouterr().err
    words = ("rows.csv", "--symbol", "BTC/USDT", "--bar", "1h", "--stamp", "open")
    made = document(capsys, "import", *words)
    assert (made["symbol"], made["bars"]) == ("BTC/USDT", 300)
    (entry,) = document(capsys, "list")["entries"]
    assert (entry["source"], entry["name"], entry["bar"]) == ("import", "BTC/USDT", "1h")
    run("list")
    assert "BTC/USDT" in capsys.readouterr().out
    found = document(capsys, "check", strategy(place, data={"candles": {"use": "store"}}))
    assert found["symbols"][0]["bars"] == 300


@pytest.mark.parametrize("named", [False, True])
def test_a_calendar_that_nobody_named_is_not_stored(
    place: Path, capsys: pytest.CaptureFixture[str], named: bool
) -> None:
    sessions("2021-02-15", 60).write_csv(place / "rows.csv")
    words = ["rows.csv", "--symbol", "BTC/USDT", "--bar", "30m", "--stamp", "open"]
    made = document(capsys, "import", *words, *(("--calendar", "XNYS") if named else ()))
    reported = [each["kind"] for each in made["findings"]]
    assert ("calendar_sign" in reported) is not named
    file = strategy(place, universe={"bar": "30m"}, data={"candles": {"use": "store"}})
    found = document(capsys, "check", file)
    assert ("calendar_sign" in [each["kind"] for each in found["findings"]]) is not named


def test_check_shows_defects_and_refuses_what_a_run_refuses(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clean(300)[[*range(50), *range(53, 300)]].write_parquet(place / "BTCUSDT.parquet")
    run("check", "BTCUSDT.parquet", "--bar", "1h")
    shown = capsys.readouterr().out
    assert "gap" in shown
    assert "297 bars" in shown
    found = document(capsys, "check", strategy(place))
    gap = next(each for each in found["findings"] if each["kind"] == "gap")
    assert (gap["count"], gap["policy"]) == (3, "keep")
    run("check", "BTCUSDT.parquet", "--bar", "1d", code=2)
    assert "mostly 1h apart" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("check", "no.csv", "--bar", "1h"), "no such file"),
        (("check", "rows.csv"), "--bar is missing"),
        (("check", "rows.csv", "--bar", "1x"), "--bar: expected a duration"),
        (("check", "rows.csv", "--bar", "1h"), "stamp: open or stamp: close"),
        (("check", "rows.csv", "--bar", "1h", "--time-zone", "Mars"), "--time-zone Mars: "),
        (("check", "rows.csv", "--bar", "1h", "--stamp", "open", "--calendar", "X"), "calendar"),
        (("fetch",), "takes a strategy FILE or --exchange"),
        (("fetch", "--exchange", "binance"), "needs --symbol and --bar"),
        (
            ("fetch", "--exchange", "binance", "--symbol", "A", "--bar", "1h", "--since", "now"),
            "--since: expected",
        ),
        (
            ("fetch", "--exchange", "nix", "--symbol", "A", "--bar", "1h", "--since", "2021-01-01"),
            "--exchange nix: ccxt knows no exchange of this id",
        ),
    ],
)
def test_wrong_words_are_reported_with_status_2(
    place: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    clean(50).write_csv(place / "rows.csv")
    run(*words, code=2)
    shown = capsys.readouterr().err
    assert message in " ".join(shown.split())
    assert "Traceback" not in shown


def test_fetch_what_a_strategy_needs_then_check_it(
    place: Path, exchange: Venue, capsys: pytest.CaptureFixture[str]
) -> None:
    start, end = FIRST_MS // 1_000 + 1_100 * 3_600, FIRST_MS // 1_000 + 1_150 * 3_600
    candles = {"use": "ccxt", "venue": "binance", "urls": exchange.urls, "options": OPTIONS}
    file = strategy(
        place,
        universe={"start": _iso(start), "end": _iso(end)},
        data={"candles": candles},
    )
    run("check", file, code=2)
    assert "septet data fetch" in capsys.readouterr().err
    fetched = document(capsys, "fetch", file)["fetched"]
    assert fetched[0]["rows"] == 1_050  # 1,000 bars of warm-up before the start
    assert fetched[0]["requests"] > 0
    assert document(capsys, "fetch", file)["fetched"][0]["requests"] == 0
    assert document(capsys, "check", file)["symbols"][0]["bars"] == 1_050
    run("fetch", file)
    assert "0 new rows in 0 requests" in capsys.readouterr().out
    run("fetch", file, "--since", "2020-09-12", "--until", "2020-09-14")


def _iso(seconds: int) -> str:
    from septet._data.stamps import iso

    return iso(seconds * 10**9)


def test_nothing_to_fetch(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean(50).write_parquet(place / "BTCUSDT.parquet")
    run("fetch", strategy(place))
    assert "Nothing to download" in capsys.readouterr().out


def test_progress_is_drawn_on_a_terminal_only(
    place: Path, exchange: Venue, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    import sys

    start, end = FIRST_MS // 1_000 + 1_100 * 3_600, FIRST_MS // 1_000 + 1_150 * 3_600
    candles = {"use": "ccxt", "venue": "binance", "urls": exchange.urls, "options": OPTIONS}
    span = {"start": _iso(start), "end": _iso(end)}
    file = strategy(place, universe=span, data={"candles": candles})
    run("fetch", file, "--store", "one")
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    run("fetch", file, "--store", "two")
    drawn = capsys.readouterr().err
    assert "BTC/USDT 1h" in drawn
    assert "1050/1050" in drawn


def test_fetch_brings_series_too(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean(24 * 9).write_parquet(place / "BTCUSDT.parquet")
    day = START_NS // 10**9
    site = Site((day, 40), (day + 86_400, 50))
    with serve(site.respond) as url:
        mood = {
            "use": "http_json", "url": f"{url}/fng", "select": "data.*.value",
            "time": "data.*.timestamp", "time_unit": "s", "known_after": "24h",
            "every": "1d at 00:10", "max_age": "3d",
        }  # fmt: skip
        file = strategy(
            place,
            data={"mood": mood},
            features={"mood_now": {"use": "series", "of": "mood", "missing": 50}},
        )
        run("check", file, code=2)
        assert "nothing was downloaded" in capsys.readouterr().err
        (fetched,) = document(capsys, "fetch", file)["fetched"]
    assert (fetched["name"], fetched["rows"]) == ("mood", 2)
    found = document(capsys, "check", file)
    assert found["symbols"][0]["bars"] == 24 * 9
    assert any("vintage unknown" in each["message"] for each in found["findings"])


@pytest.mark.parametrize(("step", "step_days"), [("10d", 10), ('"0 0 * * 1"', 7)])
def test_fetch_reaches_back_to_the_first_window_of_the_first_model(
    place: Path, step: str, step_days: int
) -> None:
    from septet._app.data import lead_in
    from septet._config import load

    text = f"""
version: 1
name: lead
universe: {{symbols: [A/USD], bar: 1h}}
data: {{candles: {{use: sample}}}}
features: {{ret: {{use: log_return}}}}
model:
  use: sklearn
  estimator: GaussianNB
  training: {{train: 30d, step: {step}}}
signal: {{use: confidence, threshold: 5%}}
risk: {{sizing: {{use: fixed_fraction, fraction: 10%}}}}
"""
    (place / "lead.yaml").write_text(text, encoding="utf-8")
    hour_ns = 3_600_000_000_000
    lead = lead_in(load(place / "lead.yaml").strategy)
    # The model in force may be a step old, and its window ends there.
    assert lead >= (30 + step_days) * 24 * hour_ns
    assert lead == (1_000 + (30 + 2 * step_days) * 24) * hour_ns


def test_importing_a_file_again_adds_nothing(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clean(60)[:50].write_csv(place / "a.csv")
    words = ("import", "a.csv", "--symbol", "BTC/USDT", "--bar", "1h", "--stamp", "open")
    for expected in (50, 0, 0):
        assert document(capsys, *words)["new"] == expected
        [entry] = document(capsys, "list")["entries"]
        assert (entry["rows"], entry["holes"]) == (50, 0)
    clean(60).with_columns(
        volume=pl.when(pl.int_range(60) == 7).then(1e6).otherwise("volume")
    ).write_csv(place / "a.csv")
    run(*words)
    output = capsys.readouterr()
    assert "10 bars of BTC/USDT 1h stored" in output.out
    assert "50 bars were there already" in output.out
    assert "1 of them have other values in the file" in output.err
    assert document(capsys, "list")["entries"][0]["rows"] == 60


def test_other_keys_of_a_text_file_are_options(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = clean(48).with_columns(pl.from_epoch("timestamp", time_unit="ns"))
    lines = rows.with_columns(pl.col("timestamp").dt.strftime("%Y-%m-%d %H:%M")).write_csv()
    Path("wide.csv").write_text(f"a title\n{lines}", encoding="utf-16")
    given = ("wide.csv", "--symbol", "BTC/USDT", "--bar", "1h", "--stamp", "open",
             "--time-zone", "UTC")  # fmt: skip
    run("import", *given, code=2)
    assert "options: --key encoding=..." in " ".join(capsys.readouterr().err.split())
    wide = (*given, "--key", "encoding=utf-16")
    run("check", *wide, code=2)
    assert "options: --key skip_lines=..." in " ".join(capsys.readouterr().err.split())
    found = document(capsys, "import", *wide, "--key", "skip_lines=1")
    assert found["new"] == 48


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--key", "skip_line=1"], "--key skip_line: a csv file has no such key"),
        (["--key", "skip_lines=a"], "--key skip_lines a: Input should be a valid integer"),
        (["--key", "skip_lines"], "--key skip_lines has no value"),
        (["--key", "max_bad=-1"], "--key max_bad"),
        (["--time-format", "dd.mm.yyyy"], "this time_format has no % signs"),
    ],
)
def test_a_wrong_key_is_reported_as_its_option(
    place: Path, capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    clean(48).write_csv("x.csv")
    run("check", "x.csv", "--bar", "1h", "--stamp", "open", *words, code=2)
    assert expected in " ".join(capsys.readouterr().err.split())


def test_a_hint_names_the_options_of_its_keys() -> None:
    hint = hint_of_options("write time_zone: UTC beside use:, or columns: {close: Px}")
    assert hint.endswith("are options: --time-zone, --column OURS=THEIRS")
    assert hint_of_options("download it again") == "download it again"
