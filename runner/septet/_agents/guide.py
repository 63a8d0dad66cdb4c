"""The text of the tool `guide`: the order of work, the language of files, and known traps."""

from __future__ import annotations

from typing import Final

from septet.errors import InputError

__all__ = ["EXAMPLE", "TOPICS", "guide_text"]

EXAMPLE: Final = """\
version: 1
name: sma-cross
account: {capital: 10000, currency: USD}
universe: {symbols: [BTC/USD], bar: 15m}
data:
  candles: {use: sample}
features:
  fast: {use: sma, period: 20}
  slow: {use: sma, period: 100}
signal:
  use: rules
  long_if: crosses_above(fast, slow)
  exit_if: crosses_below(fast, slow)
risk:
  sizing: {use: fixed_fraction, fraction: 50%}
execution:
  simulation: {fee: 10bps, slippage: 2bps}
"""

_WORK: Final = """\
# Order of work

1. Write one sentence: what is believed, and what would refute it. `run` asks for it as
   `hypothesis`, and the ledger of trials keeps it.
2. `plugins` finds features, signals and sizing by words; `schema` gives the keys of a section.
3. `check` the text. Every problem has a line, what was expected, and a hint. Correct all of them.
4. `save` it under a name that ends in .yaml. To replace a file give the hash of what is there.
5. `run` it. Read `verdict`, `tries` and `forward` before the figures: a Sharpe ratio that is the
   best of many tries is worth less than it shows.
6. `table`, `why` and `diff` show what happened. Change one thing at a time.

Nothing here trades. A person starts paper or live trading with the command in `commands`. While a
person has armed a run there is the tool `halt`: use it where the run looks wrong, and say why.
"""

_FILE: Final = f"""\
# A strategy file

One YAML file: sections `universe`, `data`, `features`, `signal`, `risk`, `execution`; optional are
`model`, `portfolio`, `monitoring`, `sweep`. Each block names a plugin with `use`.

```yaml
{EXAMPLE}```

`explain` gives every effective value with its origin, defaults included. `settings` of `check`,
`explain` and `run` lay values over a file by key path: {{"features.fast.period": 25}}.
"""

_DATA: Final = """\
# Data

Only data inside the workspace are read, and what is bundled with septet: `sample` (BTC/USD, 15m),
`synthetic`, `csv`, `parquet`, and for series `csv_series`, `parquet_series`, `sample_series`.
Paths are relative to the strategy file. Sources that reach a host (`ccxt`, `http_json`) or the
store outside the workspace are refused, and secrets (`env:`, `file:`) are never read. A person
fetches data with `septet data fetch` at a terminal.
"""

_TRAPS: Final = """\
# Traps

- **Many tries.** Every backtest and every setting of a sweep is counted on its data, whatever its
  name, folder or span. `tries` is how many; the deflated Sharpe ratio takes them into account.
- **The same data again.** No figure on data that were looked at is out of sample. A model that
  has read the past has looked at it as well, and the ledger cannot see that. Only `forward`, the
  bars that became known after the file was first tried, is untouched. Another value is another
  file.
- **Costs.** `fee` and `slippage` belong to every run. A result that lives from zero costs is none.
- **Few trades.** The verdict gives the interval of the average trade: if it contains zero, the
  result cannot be distinguished from chance.
- **Early knowledge.** A series is known after its stamp: `known_after` states when.
"""

TOPICS: Final = {"work": _WORK, "file": _FILE, "data": _DATA, "traps": _TRAPS}


def guide_text(topic: str) -> str:
    """Return a topic as markdown of at most 8 kB.

    Raises
    ------
    InputError
        If there is no such topic.
    """
    text = TOPICS.get(topic)
    if text is None:
        raise InputError(f"there is no topic {topic[:40]!r}", hint=f"one of {', '.join(TOPICS)}")
    return text
