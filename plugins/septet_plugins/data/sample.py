"""Real market data included in the package; see samples/ATTRIBUTION.md."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import msgspec

from septet.errors import DataError
from septet.plugin import Config
from septet.plugin.data import (
    Facts,
    RawBars,
    RawSeries,
    Request,
    candles,
    format_duration,
    parse_duration,
    read_parquet_file,
    series,
)

__all__ = ["SAMPLES", "Sample", "SampleConfig", "SampleSeries", "SampleSeriesConfig"]

FOLDER: Final = Path(__file__).parent / "samples"


class _Set(msgspec.Struct, frozen=True):
    """One bundled file of bars and its properties."""

    file: str
    bar: str
    calendar: str
    volume_in: Literal["base", "quote"]
    span: str
    symbol_column: bool = False


_STOCKS: Final = _Set("us_stocks_1d", "1d", "XNYS", "base", "2000-03 to 2013-03", True)
SAMPLES: Final[dict[str, tuple[_Set, ...]]] = {
    "BTC/USD": (
        _Set("btcusd_15m", "15m", "24x7", "quote", "2021-09-27 to 2021-12-29"),
        _Set("btcusd_1d", "1d", "24x7", "quote", "2020-01 to 2021-10"),
    ),
    "EUR/USD": (_Set("eurusd_1h", "1h", "XFX", "base", "2017"),),
    **dict.fromkeys(("AAPL", "FB", "GOOG", "IBM", "MSFT"), (_STOCKS,)),
    "SP500": (_Set("sp500_1d", "1d", "XNYS", "base", "1999 to 2018"),),
    "NASDAQ": (_Set("nasdaq_1d", "1d", "XNYS", "base", "1999 to 2018"),),
}
_SERIES: Final = ("vix", "wti", "core_cpi")


class SampleConfig(Config):
    """Bundled bars; selected by the symbols and the bar of the universe."""


def _menu() -> str:
    return "; ".join(
        f"{symbol} {'/'.join(each.bar for each in sets)}" for symbol, sets in SAMPLES.items()
    )


@candles(SampleConfig)
class Sample:
    """Real bars for trying things out: crypto 15m and 1d, EUR/USD 1h, US stocks 1d."""

    def __init__(self, config: SampleConfig) -> None:
        """Do nothing: there are no settings."""
        self._config = config

    def read(self, request: Request) -> list[RawBars]:
        """Return the bundled rows of every symbol, defects included."""
        return [self._read(symbol, request.bar_ns) for symbol in request.symbols]

    def _read(self, symbol: str, bar_ns: int) -> RawBars:
        import polars as pl

        sample = next(
            (each for each in SAMPLES.get(symbol, ()) if parse_duration(each.bar) == bar_ns), None
        )
        if sample is None:
            raise DataError(
                f"no bundled sample of {symbol} with bars of {format_duration(bar_ns)}",
                hint=f"there are {_menu()}",
            )
        frame = read_parquet_file(FOLDER / f"{sample.file}.parquet")
        if sample.symbol_column:
            frame = frame.filter(pl.col("symbol") == symbol).drop("symbol")
        return RawBars(
            symbol,
            frame,
            Facts(
                f"sample {sample.file}", stamp="open", calendar=sample.calendar,
                volume_in=sample.volume_in, notes=(f"bundled sample, {sample.span}",),
            ),
        )  # fmt: skip


class SampleSeriesConfig(Config):
    """A bundled series: the VIX, the WTI oil price, or US core consumer prices (monthly)."""

    dataset: Literal["vix", "wti", "core_cpi"]
    """Which of the bundled series."""


@series(SampleSeriesConfig)
class SampleSeries:
    """Real outside series for trying things out; none gives publication times."""

    def __init__(self, config: SampleSeriesConfig) -> None:
        """Store the name of the series."""
        self._config = config

    def read(self, request: Request) -> RawSeries:
        """Return the bundled rows."""
        name = self._config.dataset
        frame = read_parquet_file(FOLDER / f"{name}.parquet")
        return RawSeries(frame, Facts(f"sample {name}"))
