"""What a source of bars or of an outside series is given and hands over, and how it reads files.

`candles` declares a source of bars, `series` one of values with the time each became known.
"""

from septet._data.column_names import rename_columns
from septet._data.parquet_bounds import memory_bytes
from septet._data.reader_errors import reader_words
from septet._data.source import (
    CandlesSource,
    Facts,
    Fetches,
    FetchReport,
    LazyBars,
    Progress,
    RawBars,
    RawSeries,
    Request,
    Scans,
    SeriesSource,
    SourceRows,
    Store,
)
from septet._data.source_files import (
    one_file,
    read_bars,
    read_parquet_file,
    scan_bars,
    scan_parquet_file,
)
from septet._files import open_regular
from septet._host.declare import candles, series
from septet._text import decode_json, masked_addresses
from septet_schemas.times import StartTime
from septet_schemas.units import format_duration, parse_duration

__all__ = [
    "CandlesSource",
    "Facts",
    "FetchReport",
    "Fetches",
    "LazyBars",
    "Progress",
    "RawBars",
    "RawSeries",
    "Request",
    "Scans",
    "SeriesSource",
    "SourceRows",
    "StartTime",
    "Store",
    "candles",
    "decode_json",
    "format_duration",
    "masked_addresses",
    "memory_bytes",
    "one_file",
    "open_regular",
    "parse_duration",
    "read_bars",
    "read_parquet_file",
    "reader_words",
    "rename_columns",
    "scan_bars",
    "scan_parquet_file",
    "series",
]
