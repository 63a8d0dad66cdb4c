"""The data plugins of this package."""

from septet.hookspecs import Component, hookimpl

__all__ = ["septet_data"]

_HOME = "septet_plugins.data"


@hookimpl
def septet_data() -> list[Component]:
    """List every built-in of the layer."""
    bars = {
        "ccxt": ("ccxt_history:CcxtHistory", "any exchange of ccxt, by way of the local store"),
        "csv": ("csv:Csv", "text files; delimiter and header guessed and reported"),
        "parquet": ("parquet:Parquet", "Parquet files"),
        "sample": ("sample:Sample", "real bars that come with the package"),
        "store": ("stored:Stored", "bars imported or fetched before"),
        "synthetic": ("synthetic:Synthetic", "synthetic bars from a seed"),
    }
    series = {
        "csv_series": ("csv:CsvSeries", "a series from a text file"),
        "http_json": ("http_json:HttpJson", "a series from a JSON document of the web"),
        "parquet_series": ("parquet:ParquetSeries", "a series from a Parquet file"),
        "sample_series": ("sample:SampleSeries", "real series that come with the package"),
    }
    return [
        *(
            Component("data", name, f"{_HOME}.{target}", "candles", summary)
            for name, (target, summary) in bars.items()
        ),
        *(
            Component("data", name, f"{_HOME}.{target}", "series", summary)
            for name, (target, summary) in series.items()
        ),
    ]
