"""Unread columns whose values show that rows belong to several symbols or sources."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import structs

from septet._data.defects import Findings
from septet._data.mixed_rows import OUR_COLUMNS
from septet._data.symbol_columns import names_symbol, shown_values
from septet_schemas.late_patterns import late_pattern

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "SOURCE_SIGN", "SOURCE_WORDS", "SourceColumn", "are_symbols", "check_source_columns",
    "source_columns",
]  # fmt: skip

SOURCE_SIGN: Final = "source_sign"
SOURCE_WORDS: Final = frozenset(
    ("exchange", "source", "venue", "provider", "vendor", "feed", "origin", "broker", "site")
)
_WORDS: Final = SOURCE_WORDS | frozenset(
    ("exchange_id", "source_id", "venue_id", "exchange_name", "source_name", "data_source",
     "contract", "contract_id", "contract_name", "contract_month", "contract_code", "expiry",
     "expiration", "price_type", "quote_type", "instrument", "instrument_id", "instrument_token",
     "ticker", "symbol_name", "local_symbol", "symbol_id", "mic", "conid", "secid", "permno", "id",
     "sid", "security_id", "market_id")
)  # fmt: skip
_VENUES: Final = frozenset(
    ("binance", "binanceus", "bitfinex", "bitflyer", "bitget", "bitmex", "bitstamp", "bybit",
     "cboe", "cme", "coinbase", "coinbasepro", "deribit", "gate", "gateio", "gdax", "gemini",
     "htx", "huobi", "hyperliquid", "kraken", "kucoin", "mexc", "nasdaq", "nyse", "okex", "okx",
     "poloniex", "upbit", "arca", "bats", "iex", "lse", "xetra", "euronext", "dukascopy", "oanda",
     "fxcm", "bloomberg", "refinitiv", "yahoo", "polygon", "alpaca", "tiingo", "stooq")
)  # fmt: skip
_PAIR: Final = late_pattern(
    r"[A-Z0-9]{2,12}[-/_:. ]?(USDT|USDC|USD|BUSD|FDUSD|TUSD|EUR|GBP|JPY|CHF|AUD|CAD|NZD|KRW|TRY|INR"
    r"|BRL|BTC|XBT|ETH)([-_:. ]?(PERP|SWAP|USDT|USDC|USD|\d{6,8}))?(=X)?"
)
_CONTRACT: Final = late_pattern(r"[A-Z][A-Z0-9]{0,3}[FGHJKMNQUVXZ]\d{1,4}")
_ISIN: Final = late_pattern(r"[A-Z]{2}[A-Z0-9]{9}\d")
_MARKETS: Final = frozenset(
    ("spot", "margin", "perp", "perps", "perpetual", "swap", "future", "futures", "linear",
     "inverse", "option", "options", "cfd", "index", "mark", "usdm", "coinm")
)  # fmt: skip
_LENGTH: Final = late_pattern(r"\d+ ?(ms|s|sec|m|min|h|hr|hour|d|day|w|wk|week|mo|month)s?")
_PRICES: Final = ("open", "high", "low", "close")
_MAX_VALUES: Final = 50
_MAX_COLUMNS: Final = 256  # columns read of a file; those named like sources come first
_MIN_CHANGES: Final = 10  # changes of value, too many for contracts that follow each other
_MIN_ROWS: Final = 5
_DEVIATIONS: Final = 6.0
_SHARE: Final = 0.5
_SIZE: Final = 0.5
"""How surely, by how much of the moves and by how many ranges of a bar prices follow a value."""


class SourceColumn(msgspec.Struct, frozen=True):
    """A column that names symbols or sources: its values, and the number of changes of value."""

    name: str
    values: pl.Series
    changes: int
    separates: bool = False

    @property
    def takes_turns(self) -> bool:
        """Return whether values recur, instead of following one another once."""
        return self.changes >= max(_MIN_CHANGES, len(self.values))

    def text(self) -> str:
        """Describe the column by its name and its first values."""
        return f"column {self.name!r} holds {shown_values(self.values)}"


def check_source_columns(findings: Findings, frame: pl.DataFrame | pl.LazyFrame) -> None:
    """Reject bars that a column shows to be of several symbols or sources; warn of contracts.

    Recurring values are rejected if the column or its values name symbols or sources, or if prices
    change their level with the value. Values that follow one another once give a warning: prices of
    contracts jump at each roll.

    Raises
    ------
    DataError
        If rows of several symbols or sources alternate, unless the policy for `price_levels`
        keeps them.
    """
    for each in source_columns(frame):
        if each.takes_turns:
            how = "and prices change with them" if each.separates else "in turn"
            findings(
                "price_levels", each.changes, (each.text(),),
                f"changes of value in column {each.name!r}, {how}: rows of several symbols or "
                "sources are read as one",
                _hint(each),
            )  # fmt: skip
        elif findings.policy("price_levels") != "keep":
            text = (
                f"{each.text()}, which change {each.changes:,} times: prices may jump where they "
                "do, as those of another contract or source"
            )
            findings.warn(SOURCE_SIGN, each.changes, (), text)


def _hint(column: SourceColumn) -> str:
    text = f"keep the rows of one value of column {column.name!r}"
    if are_symbols(column.values):
        text += (
            f", or write columns: {{symbol: {column.name}}}, so that each symbol of the universe "
            "gets its own rows"
        )
    return (
        f"{text}; if all of them are prices of one market, as on a "
        "consolidated tape: policy: {price_levels: keep}"
    )


def are_symbols(values: pl.Series) -> bool:
    """Return whether all values look like currency pairs, futures contracts or ISINs."""
    shapes = (_PAIR, _CONTRACT, _ISIN)
    return all(any(shape.fullmatch(each.upper()) for shape in shapes) for each in values)


def _are_venues(values: pl.Series) -> bool:
    plain = [re.sub(r"[^a-z]", "", each.lower()) for each in values]
    return sum(each in _VENUES for each in plain) >= max(2, 0.5 * len(plain))


def _are_markets(values: pl.Series) -> bool:
    """Return whether all values are kinds of markets (spot, perp), or all are bar lengths."""
    plain = [re.sub(r"[-_]", "", each.strip().lower()) for each in values]
    return all(each in _MARKETS for each in plain) or all(map(_LENGTH.fullmatch, plain))


def _name_sources(values: pl.Series) -> bool:
    return are_symbols(values) or _are_venues(values) or _are_markets(values)


def _names_source(name: str) -> bool:
    plain = re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")
    return plain in _WORDS or names_symbol(name)


def source_columns(frame: pl.DataFrame | pl.LazyFrame) -> list[SourceColumn]:
    """Return the columns that name several symbols or sources, by their values or their name.

    For bars, a column also counts if prices depend on its value. Of more than 256 columns that are
    not read, those named like sources are checked first, and the rest are not checked.
    """
    import polars as pl

    lazy = frame.lazy()
    schema = lazy.collect_schema()
    texts = [
        name for name, kind in schema.items()
        if name not in OUR_COLUMNS
        and (_is_text(kind) or kind.is_integer() or (kind.is_float() and _names_source(name)))
    ]  # fmt: skip
    texts = sorted(texts, key=lambda name: not _names_source(name))[:_MAX_COLUMNS]
    if not texts:
        return []
    numbers = [_text(name).n_unique().alias(f"n{at}") for at, name in enumerate(texts)]
    row = lazy.select(pl.len().alias("rows"), *numbers).collect(engine="streaming").row(0)
    few = [
        name for name, count in zip(texts, row[1:], strict=True)
        if 2 <= count <= min(_MAX_VALUES + 1, row[0] // 2)
    ]  # fmt: skip
    named_columns = []
    for column in _columns(lazy, few):
        if len(column.values) < 2:
            continue
        name = column.name
        named = _names_source(name) or (_is_text(schema[name]) and _name_sources(column.values))
        checked = column.takes_turns and set(_PRICES) <= set(schema)
        separates = checked and _separates(lazy, name)
        if named or separates:
            named_columns.append(structs.replace(column, separates=separates))
    return named_columns


def _is_text(kind: pl.DataType) -> bool:
    import polars as pl

    return kind in (pl.String, pl.Categorical, pl.Enum)


def _text(name: str) -> pl.Expr:
    import polars as pl

    return pl.col(name).cast(pl.String).str.strip_chars()


def _columns(lazy: pl.LazyFrame, names: Sequence[str]) -> list[SourceColumn]:
    """Return the values and changes of columns, in one pass: a file may have thousands."""
    if not names:
        return []
    texts = [_text(name).drop_nulls() for name in names]
    values = [text.unique().sort().implode().alias(f"v{at}") for at, text in enumerate(texts)]
    changes = [(text != text.shift(1)).sum().alias(f"c{at}") for at, text in enumerate(texts)]
    row = lazy.select(*values, *changes).collect(engine="streaming")
    return [
        SourceColumn(name, row.get_column(f"v{at}").explode(), int(row.get_column(f"c{at}").item()))
        for at, name in enumerate(names)
    ]


def _separates(lazy: pl.LazyFrame, name: str) -> bool:
    """Return whether prices move up at one change of value and down at the opposite change.

    The move from close to open is used, since a value made from the bar (its colour, its trend)
    hardly affects it; the move of rows that keep their value is subtracted.
    """
    import polars as pl

    price = {each: pl.col(each).cast(pl.Float64, strict=False) for each in _PRICES}
    rows = lazy.select(
        _text(name).shift(1).alias("before"), _text(name).alias("value"),
        (price["open"] / price["close"].shift(1) - 1.0).alias("gap"),
        (price["high"] / price["low"] - 1.0).alias("range"),
    ).filter(pl.col("gap").is_finite())  # fmt: skip
    gap = pl.col("gap")
    table = rows.group_by("before", "value").agg(
        gap.len().alias("count"), gap.sum().alias("sum"), gap.pow(2).sum().alias("squares"),
        pl.col("range").mean().alias("range"),
    ).collect(engine="streaming")  # fmt: skip
    moves = {(was, value): sums for was, value, *sums in table.iter_rows()}
    return any(
        was is not None and value is not None and was < value and _apart(moves, was, value)
        for was, value in moves
    )


def _apart(moves: dict[tuple[str, str], list[float]], first: str, second: str) -> bool:
    """Return whether moves at the change from one value to another oppose those at the change back.

    For each change there are the count, the sum of the moves, the sum of their squares, and the
    mean range of a bar.
    """
    forth, back = moves[first, second], moves.get((second, first))
    if back is None or min(forth[0], back[0]) < _MIN_ROWS:
        return False
    stay = [moves.get((same, same), [0.0, 0.0]) for same in (second, first)]
    drift = [total / rows if rows >= _MIN_ROWS else 0.0 for rows, total, *_ in stay]
    up, down = forth[1] - drift[0] * forth[0], back[1] - drift[1] * back[0]
    count, squares = forth[0] + back[0], forth[2] + back[2]
    apart = abs(up - down)
    if up * down >= 0.0 or squares <= 0.0:
        return False
    significant = apart >= _DEVIATIONS * squares**0.5 and apart**2 >= _SHARE * count * squares
    return significant and apart / count >= _SIZE * min(forth[3] or 0.0, back[3] or 0.0)
