"""The market of a drill: the strategy's own prices at a local venue, and the settings for it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec

from septet._config.load import Loaded
from septet._data.bars import BarTable, Instrument, MarketData
from septet._data.day_calendars import written_calendars
from septet._data.load import load_market
from septet._drill.fault_kinds import ANSWERS_FINAL_AFTER, RECEIVE_MS, TIMEOUT
from septet._drill.stop_cover import Terms
from septet._drill.venue.config import Bars, SymbolConfig, Synthetic, VenueConfig, interval
from septet._drill.venue.symbol_prices import load_bars
from septet._files import replace_file
from septet._live.build_core import currencies, has_venue_fills
from septet._shell.session import plan_of, warmup_ns_of
from septet.errors import InputError

__all__ = [
    "KEY",
    "SECRET",
    "LocalMarket",
    "compile_plan",
    "make_local_market",
    "settings_for",
    "terms_of",
]

KEY: Final = "SEPTET_DRILL_KEY"
SECRET: Final = "SEPTET_DRILL_SECRET"  # noqa: S105 a name of the environment
_START_NS: Final = 1_700_006_400 * 10**9
_MEMORY_BARS: Final = 500
_MIN_HISTORY: Final = 50


@dataclass(frozen=True, slots=True)
class LocalMarket:
    """A venue's configuration and the bars that it replays; `to_play` follow its history."""

    config: VenueConfig
    bars: dict[str, Bars]
    to_play: int
    origin: str


def make_local_market(
    loaded: Loaded, folder: Path, *, seed: int, bars: int, bar_wall_ns: int, synthetic: bool
) -> LocalMarket:
    """Prepare the venue: `bars` to replay after enough history for warm-up and training.

    Raises
    ------
    InputError
        What the strategy trades cannot be played: perpetuals, symbols without a quote currency,
        markets with sessions, or a bar that the venue has not.
    """
    strategy = loaded.strategy
    _require_spot(strategy)
    bar_ns = int(strategy.universe.bar)
    interval(bar_ns)
    history = -(-min(warmup_ns_of(strategy, _MEMORY_BARS), 2**61) // bar_ns)
    if synthetic:
        history = min(history, 100_000)
        made = _synthetic(strategy, seed, bar_ns, history + bars)
        instruments: dict[str, Instrument] = {}
        origin = f"synthetic prices from seed {seed}"
    else:
        market = load_market(loaded)
        made, history = _recorded(market, history, bars)
        instruments, origin = dict(market.instruments), "the strategy's own newest bars"
    configs, played = [], {}
    for symbol, columns in made.items():
        config = _symbol(symbol, strategy, columns, instruments.get(symbol))
        path = folder / f"bars-{config.id}.json"
        replace_file(path, msgspec.json.encode(columns))
        configs.append(msgspec.structs.replace(config, bars_path=str(path)))
        played[config.id] = columns
    first = min(each.open_ns[0] for each in played.values())
    last = max(each.open_ns[-1] for each in played.values())
    to_play = (last - first) // bar_ns + 1 - history
    venue = VenueConfig(
        symbols=configs, bar_ns=bar_ns, bar_wall_ns=bar_wall_ns, history=history, seed=seed,
        balances={strategy.account.currency: f"{2 * strategy.account.capital:f}", "BNB": "1000"},
        api_key=f"drill-{folder.name}", secret=f"drill-{seed}",
        journal_path=str(folder / "venue-journal.jsonl"),
    )  # fmt: skip
    return LocalMarket(venue, played, to_play, origin)


def _require_spot(strategy: Any) -> None:
    if strategy.account.type != "spot":
        raise InputError(
            "the local venue of the drill is a spot market, and the account is "
            f"{strategy.account.type}",
            hint="rehearse with account: {type: spot}",
        )
    closing = sorted({each for each in written_calendars(strategy) if each not in (None, "24x7")})
    if closing:
        raise InputError(
            "the local venue of the drill never closes, and the calendar is "
            f"{', '.join(map(str, closing))}",
            hint="rehearse on a market that is open round the clock",
        )


def _synthetic(strategy: Any, seed: int, bar_ns: int, count: int) -> dict[str, Bars]:
    found = {}
    for number, symbol in enumerate(strategy.universe.symbols):
        base, quote = currencies(symbol, strategy.account.currency)
        how = Synthetic(count=count, start_ns=_START_NS // bar_ns * bar_ns, price=100.0)
        config = SymbolConfig(base=base, quote=quote, synthetic=how)
        found[symbol] = load_bars(config, seed + number, bar_ns)
    return found


def _recorded(market: MarketData, history: int, bars: int) -> tuple[dict[str, Bars], int]:
    """Return the newest bars at times that all symbols have, and how many are history."""
    tables = [market.bars[symbol] for symbol in market.symbols]
    bar_ns = market.bar_ns
    end = min(int(table.open_ns[-1]) for table in tables) + bar_ns
    begin = max(int(table.open_ns[0]) for table in tables)
    there = (end - begin) // bar_ns
    if there <= _MIN_HISTORY:
        raise InputError(
            f"the data has {there} bars in common, too few for a drill",
            hint="try --synthetic, or a longer span",
        )
    bars = min(bars, max(there - history, there // 2))
    begin = max(begin, end - (history + bars) * bar_ns)
    history = (end - begin) // bar_ns - bars
    found = {}
    for table in tables:
        found[table.symbol] = _columns(table, begin, end)
    return found, history


def _columns(table: BarTable, begin: int, end: int) -> Bars:
    rows = slice(*table.open_ns.searchsorted([begin, end]).tolist())
    return Bars(
        open_ns=table.open_ns[rows].tolist(), open=table.open[rows].tolist(),
        high=table.high[rows].tolist(), low=table.low[rows].tolist(),
        close=table.close[rows].tolist(), volume=table.volume[rows].tolist(),
    )  # fmt: skip


def _symbol(symbol: str, strategy: Any, bars: Bars, known: Instrument | None) -> SymbolConfig:
    """Return a market with the file's filters, or with defaults that suit its price."""
    if "/" not in symbol:
        raise InputError(
            f"{symbol} names no quote currency, and the local venue trades pairs",
            hint="rehearse with a symbol such as BTC/USDT",
        )
    base, quote = currencies(symbol, strategy.account.currency)
    digits = math.floor(math.log10(bars.close[-1]))
    tick, lot = 10.0 ** max(digits - 6, -8), 10.0 ** min(max(-1 - digits, -8), 0)
    if known is not None and known.tick > 0.0:
        tick, lot = known.tick, max(known.lot, 1e-8)
    capital = float(strategy.account.capital)
    deep = f"{max(50_000.0, capital):.0f}"
    return SymbolConfig(
        base=base, quote=quote, tick=_text(tick), lot=_text(lot), min_quantity=_text(lot),
        min_notional=_text(min(5.0, capital / 1_000)), level_notional=deep,
    )  # fmt: skip


def terms_of(config: VenueConfig) -> dict[str, Terms]:
    """Return for each symbol the smallest value of a position for which an order can be sent."""
    return {
        each.id: Terms(each.base, Decimal(each.lot), Decimal(each.min_notional))
        for each in config.symbols
    }


def _text(number: float) -> str:
    return f"{number:.8f}".rstrip("0").rstrip(".") or "0"


def compile_plan(loaded: Loaded, log: Callable[[str], None]) -> None:
    """Compile the plan that the run will load, and keep it on disk, if that is new here.

    Raises
    ------
    PluginError
        If a step cannot be compiled.
    """
    plan = plan_of(loaded, venue_fills=has_venue_fills(loaded.strategy))
    if plan.compiled and not plan.is_stored:
        log("the plan is compiled")
        plan.module  # noqa: B018 - it is compiled when it is first asked for


def settings_for(loaded: Loaded, mode: str, urls: dict[str, Any]) -> list[str]:
    """Return the settings (``--set``) that point a strategy at the local venue.

    The times are those of a local venue: it reads nothing stale for longer than a second.
    """
    options = {
        "defaultType": "spot", "fetchMarkets": {"types": ["spot"]}, "fetchMargins": False,
        "fetchCurrencies": False, "recvWindow": RECEIVE_MS,
    }  # fmt: skip
    reach = {
        "urls": urls, "options": options, "streaming": {"keepAlive": 1_000}, "rate_limit": False,
    }  # fmt: skip
    candles = {
        "use": "ccxt", "venue": "binance", "exchange": "binance", "sandbox": False,
        "timeout": TIMEOUT, **reach,
    }  # fmt: skip
    venue = {
        "use": "ccxt", "exchange": "binance", "key": f"env:{KEY}", "secret": f"env:{SECRET}",
        "timeout": TIMEOUT, "answers_final_after": ANSWERS_FINAL_AFTER, **reach,
    }  # fmt: skip
    universe, account = loaded.strategy.universe, loaded.strategy.account
    # A `live:` section may trade other symbols elsewhere; the venue here has those of the bars.
    written: list[tuple[str, Any]] = [
        ("universe.symbols", list(universe.symbols)), ("account.currency", account.currency),
        ("data.candles", candles),
    ]  # fmt: skip
    if mode == "live":
        written += [("execution.venues", {}), ("execution.venues", {"drill": venue})]
    found = [f"{path}={json.dumps(value)}" for path, value in written]
    return found + [
        f"universe.{name}=" for name in ("start", "end") if getattr(universe, name) is not None
    ]
