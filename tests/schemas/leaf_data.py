"""Files with data, and a case for every setting of a source and of a venue of an exchange."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import polars as pl

from tests.schemas.leaf_cases import Case

__all__ = ["DATA_CASES", "write_data"]

COUNT: Final = 130
FIRST: Final = datetime(2020, 1, 1, tzinfo=UTC)


def _rows(symbol: str) -> list[tuple[datetime, float, float, float, float, float]]:
    found, price = [], 100.0 if symbol == "A" else 50.0
    for n in range(COUNT):
        close = price * (1.0 + 0.01 * ((n * 7919 % 13) - 6) / 6.0)
        low, high = min(price, close) * 0.995, max(price, close) * 1.005
        found.append((FIRST + timedelta(hours=n), price, high, low, close, 10.0 + n % 7))
        price = close
    return found


def _write(path: Path, header: str, lines: list[str], first: str = "") -> None:
    path.write_text(first + "\n".join([header, *lines] if header else lines) + "\n", "utf-8")


def write_data(folder: Path) -> None:
    """Write bars of two symbols and a series, in every form that a case reads."""
    head = "timestamp,open,high,low,close,volume"
    for symbol in "AB":
        rows = _rows(symbol)
        stamps = [f"{each[0]:%Y-%m-%d %H:%M:%S}" for each in rows]
        prices = [",".join(f"{value:.6f}" for value in each[1:]) for each in rows]
        plain = [f"{at},{rest}" for at, rest in zip(stamps, prices, strict=True)]
        name = f"{symbol}USDT.csv"
        _write(folder / f"bars-{name}", head, plain)
        other = [f"{at},{','.join(f'{v * 2:.6f}' for v in each[1:])}"
                 for at, each in zip(stamps, rows, strict=True)]  # fmt: skip
        _write(folder / f"other-{name}", head, other)
        epoch = [f"{int(each[0].timestamp())},{rest}"
                 for each, rest in zip(rows, prices, strict=True)]  # fmt: skip
        _write(folder / f"epoch-{name}", head, epoch)
        bad = [line if n % 20 else f"{stamps[n]},-1,-1,-1,-1,1" for n, line in enumerate(plain)]
        _write(folder / f"bad-{name}", head, bad)
        shares = [f"{line},{rows[n][4] * 0.9:.6f}" for n, line in enumerate(plain)]
        _write(folder / f"shares-{name}", f"{head},adj_close", shares)
        twice = [f"{line},{rows[n][4] * 1.001:.6f}" for n, line in enumerate(plain)]
        _write(folder / f"twice-{name}", f"{head},last", twice)
        _write(folder / f"bare-{name}", "", plain)
        _write(folder / f"skip-{name}", head, plain, "made by a program\n")
        _write(folder / f"remark-{name}", head, [*plain[:5], "# a remark", *plain[5:]])
        semi = [line.replace(",", ";").replace(".", ",") for line in plain]
        _write(folder / f"semi-{name}", head.replace(",", ";"), semi)
        days = [f"{each[0]:%d/%m/%Y %H:%M},{rest}" for each, rest in zip(rows, prices, strict=True)]
        _write(folder / f"days-{name}", head, days)
        parts = [f"{each[0]:%Y-%m-%d},{each[0]:%H:%M:%S},{rest}"
                 for each, rest in zip(rows, prices, strict=True)]  # fmt: skip
        _write(folder / f"parts-{name}", f"day,hour,{head.partition(',')[2]}", parts)
        (folder / f"latin-{name}").write_bytes(
            (head + ",n\u00f6te\n" + "\n".join(f"{each},\u00e9" for each in plain)).encode(
                "latin-1"
            )
        )
        for title, factor in (("bars", 1.0), ("other", 2.0)):
            columns = list(zip(*rows, strict=True))
            frame = pl.DataFrame({
                "timestamp": pl.Series(columns[0]).cast(pl.Datetime("ns", "UTC")),
                **{key: [v * factor for v in columns[n + 1]]
                   for n, key in enumerate(("open", "high", "low", "close", "volume"))},
                "last": [v * 1.001 * factor for v in columns[4]],
            })  # fmt: skip
            frame.write_parquet(folder / f"{title}-{symbol}USDT.parquet")
    _write_series(folder)


def _write_series(folder: Path) -> None:
    """Write series of one value each five hours, in every form that a case reads."""
    moods = [(FIRST + timedelta(hours=5 * n), n % 9) for n in range(26)]
    lines = [f"{at:%Y-%m-%d %H:%M:%S},{v},{v + 1},{at + timedelta(hours=2):%Y-%m-%d %H:%M:%S}"
             for at, v in moods]  # fmt: skip
    _write(folder / "mood.csv", "timestamp,value,second,known", lines)
    _write(folder / "funding.csv", "timestamp,value",
           [f"{at:%Y-%m-%d %H:%M:%S},{v / 10_000}" for at, v in moods])  # fmt: skip
    _write(folder / "mood-epoch.csv", "timestamp,value",
           [f"{int(at.timestamp())},{v}" for at, v in moods])  # fmt: skip
    _write(folder / "mood-bad.csv", "timestamp,value",
           [f"{at:%Y-%m-%d %H:%M:%S},{'high' if v == 3 else v}" for at, v in moods])  # fmt: skip
    _write(folder / "mood-bare.csv", "", [each.rpartition(",")[0] for each in lines])
    _write(folder / "mood-skip.csv", "timestamp,value,second,known", lines, "a program\n")
    _write(folder / "mood-remark.csv", "timestamp,value", [
        *[each.rpartition(",")[0].rpartition(",")[0] for each in lines], "# a remark"])  # fmt: skip
    _write(folder / "mood-semi.csv", "timestamp;value", [
        f"{at:%Y-%m-%d %H:%M:%S};{v},5" for at, v in moods])  # fmt: skip
    _write(folder / "mood-days.csv", "timestamp,value", [
        f"{at:%d/%m/%Y %H:%M},{v}" for at, v in moods])  # fmt: skip
    latin = [f"{at:%Y-%m-%d %H:%M:%S},{v},\u00e9" for at, v in moods]
    text = "\n".join(["timestamp,value,n\u00f6te", *latin])
    (folder / "mood-latin.csv").write_bytes(text.encode("latin-1"))
    frame = pl.read_csv(folder / "mood.csv", try_parse_dates=True)
    zoned = pl.col("timestamp", "known").dt.replace_time_zone("UTC")
    frame.with_columns(zoned, pl.col("value", "second").cast(pl.Float64)).write_parquet(
        folder / "mood.parquet"
    )


def _csv(file: str, change: str, more: str = "") -> Case:
    return Case(f"data.candles.{change}", "market", (
        f"data.candles={{use: csv, path: '{file}-{{symbol}}.csv', time_zone: UTC, "
        f"stamp: open{more}}}",))  # fmt: skip


def _mood(file: str, change: str, more: str = "") -> Case:
    return Case(f"data.mood.{change}", "market", (
        f"data.mood={{use: csv_series, path: {file}.csv, time_zone: UTC, known_after: 1h{more}}}",
        "features.mood={use: series, of: mood}"))  # fmt: skip


_TEXT: Final = {
    "decimal": ("semi", "decimal='.'"), "delimiter": ("semi", "delimiter=','"),
    "header": ("bars", "header='no'"), "encoding": ("latin", "encoding=latin-1"),
    "time_format": ("days", "time_format='%m/%d/%Y %H:%M'"), "skip_lines": ("skip", "skip_lines=1"),
    "comment": ("remark", "comment='#'"),
}  # fmt: skip
_PARQUET: Final = ("data.candles={use: parquet, path: 'bars-{symbol}.parquet'}",)
_PMOOD: Final = (
    "data.mood={use: parquet_series, path: mood.parquet, known_after: 1h, value: value, "
    "time: timestamp}",
    "features.mood={use: series, of: mood}",
)  # fmt: skip
_LIVE: Final = (
    "risk.halts={daily_loss: {above: 1%, then: flatten, resume: next_day}}",
    "universe.symbols=[BTC/USDT]", "data.candles={use: ccxt, venue: binance}",
    "execution.venues={binance: {use: ccxt, exchange: binance, key: 'env:LEAF_KEY'}}",
)  # fmt: skip
_JSON: Final = (
    "data.mood={use: http_json, url: 'http://127.0.0.1:9/a', select: 'data.*.value', "
    "time: 'data.*.at', time_unit: s, known_after: 1h}",
)  # fmt: skip
_SYNTHETIC: Final = {
    "series": "w1", "bars": "90", "start": "2020-02-02", "seed": "9", "price": "7", "drift": "0.5",
    "volatility": "10%", "regimes": "true", "common": "0.5", "gaps": "2",
    "defects": "{duplicate: 2}",
}  # fmt: skip
_VENUE: Final = {
    "exchange": "kraken", "key": "env:OTHER_KEY", "secret": "env:LEAF_SECRET",
    "uid": "env:LEAF_UID",
    "password": "env:LEAF_PASSWORD", "sandbox": "true", "options": "{leaf: 1}",
    "urls": "{api: {public: 'http://127.0.0.1:9/a'}}", "streaming": "{keepAlive: 777}",
    "params": "{tag: leaf}", "timeout": "3s", "rate_limit": "false", "allow_withdrawal": "true",
    "answers_final_after": "9s", "skew": "9s", "poll": "9s",
}  # fmt: skip
_FEED: Final = {
    "venue": "kraken", "exchange": "bybit", "sandbox": "true", "options": "{leaf: 1}",
    "urls": "{api: {public: 'http://127.0.0.1:9/a'}}", "streaming": "{keepAlive: 777}",
    "params": "{leaf: 1}", "timeout": "3s", "rate_limit": "false", "poll": "9s", "retries": "9",
    "page_bars": "77",
}  # fmt: skip

DATA_CASES: Final[Mapping[str, Case]] = {
    **{f"data: csv.{name}": _csv(*how) for name, how in _TEXT.items()},
    **{f"data: csv_series.{name}": _mood(f"mood-{file}", change)
       for name, (file, change) in _TEXT.items() if name != "header"},
    "data: csv_series.header": _mood("mood", "header='no'", ", value: value"),
    "data: csv.path": _csv("bars", "path='other-{symbol}.csv'"),
    "data: csv.columns": _csv("twice", "columns={close: last}"),
    "data: csv.names": _csv("bare", "names=[timestamp, open, high, low, volume, close]",
                            ", header: 'no'"),
    "data: csv.time_columns": _csv("parts", "time_columns=[day, hour]"),
    "data: csv_series.path": _mood("mood", "path=mood-days.csv", ", value: value"),
    "data: csv_series.names": _mood("mood-bare", "names=[timestamp, value, second]",
                                    ", header: 'no', value: value"),
    "data: csv_series.time": _mood("mood", "time=known", ", time: timestamp, value: value"),
    "data: csv_series.value": _mood("mood", "value=second", ", value: value"),
    "data: csv_series.known": _mood("mood", "known=known", ", value: value"),
    "data: csv_series.time_columns": _mood("mood", "time_columns=[known]", ", value: value"),
    "data: parquet.path": Case("data.candles.path='other-{symbol}.parquet'", "market", _PARQUET),
    "data: parquet.columns": Case("data.candles.columns={close: last}", "market", _PARQUET),
    "data: parquet_series.path": Case("data.mood.path=gone.parquet", "market", _PMOOD),
    "data: parquet_series.time": Case("data.mood.time=known", "market", _PMOOD),
    "data: parquet_series.value": Case("data.mood.value=second", "market", _PMOOD),
    "data: parquet_series.known": Case("data.mood.known=known", "market", _PMOOD),
    "data: sample_series.dataset": Case("data.mood.dataset=wti", "market", (
        "data.mood={use: sample_series, dataset: vix, known_after: 24h}",
        "features.mood={use: series, of: mood}")),
    "data: store.source": Case(
        "data.candles.source=other", "built", ("data.candles={use: store}",)),
    **{f"data: synthetic.{name}": Case(f"data.candles.{name}={value}", "market")
       for name, value in _SYNTHETIC.items()},
    "data: synthetic.regime_bars": Case("data.candles.regime_bars=20", "market", (
        "data.candles.regimes=true",)),
    "data: synthetic.gap_bars": Case("data.candles.gap_bars=2", "market", ("data.candles.gaps=2",)),
    **{f"data: http_json.{name}": Case(f"data.mood.{name}={value}", "asked", _JSON)
       for name, value in {
           "url": "'http://127.0.0.1:9/b'", "select": "'data.*.other'", "time": "'data.*.when'",
           "known": "'data.*.seen'", "headers": "{Accept: text/plain}",
           "query": "{limit: '5'}", "timeout": "3s",
           "max_bytes": "77"}.items()},
    **{f"data: ccxt.{name}": Case(f"data.candles.{name}={value}", "connected", _LIVE, mode="live")
       for name, value in _FEED.items()},
    **{f"execution: ccxt.{name}": Case(
        f"execution.venues.binance.{name}={value}", "connected", _LIVE,
                                       mode="live")
       for name, value in _VENUE.items()},
}  # fmt: skip
