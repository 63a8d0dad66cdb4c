"""Every leaf of a strategy file has an effect: ours, and those of every plugin of septet.

Each is changed in a file in which it matters, and a difference is seen: in the compiled text or
its parameters, in what a run is wired with, in data as read, in a short run that compiles
nothing, or in the message of a refusal. A leaf without a case fails.
"""

from __future__ import annotations

import asyncio
import io
import json
import urllib.request
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from septet import messages as m
from septet._config import load
from septet._live.alerts import Alerts
from septet._live.clock import ManualClock
from septet._live.market_data.decision_times import Standing
from septet._live.market_data.opening import grids_of, make_market
from septet._live.metrics import addresses_of
from septet._live.process import run_live
from septet._live.scheduled_reports import reports
from septet._live.wiring import Wiring, venue_of
from septet.errors import RunError
from tests.live.feeds import MemoryFeed
from tests.live.test_start import Scripted, Stage
from tests.schemas import leaves
from tests.schemas.leaf_cases import (
    BLOCKS,
    CASES,
    MODEL,
    NETWORK,
    NOT_YET,
    OTHERS,
    PLAIN,
    POLICIES,
    Case,
)
from tests.schemas.leaf_data import DATA_CASES, write_data
from tests.schemas.portfolio_leaves import PORTFOLIO_CASES, PORTFOLIO_NOT_YET, WEIGHED

TESTS = Path(__file__).resolve().parents[1]
SIZINGS = ("fixed_fraction", "fixed_quantity", "fixed_risk", "kelly", "volatility_target")
STOPS = ("stop_loss", "level", "take_profit", "trailing", "break_even", "time_limit")
HALTS = ("drawdown", "daily_loss", "losses_in_a_row")
DOCUMENT = [
    {"value": n, "other": -n, "at": 60 * n, "when": 61 * n, "seen": 70 * n} for n in range(9)
]
"""What a server states of a series; longer than the smallest bound that a case sets."""
LABEL = "label: {use: direction, horizon: 2 bars}"
TRAINING = "training: {train: 6d, step: 7d, min_rows: 60, min_class: 10}"


# ---------------------------------------------------------------- further places to look at


def alerted(loaded: Any) -> str:
    """What of a halt and a fill is waiting to be sent."""
    made = Alerts(loaded.strategy.monitoring.alerts, "leaf", loaded.base_dir, lambda *_: None)
    tripped = m.Tripped(rule="drawdown", then="flatten", clears_when="manual", equity=1.0)
    fill = m.Traded(
        order=1, symbol=0, trade_id="1", side="buy", quantity=1.0, price=1.0, fee=0.0,
        fee_currency="USDT", position=1.0, market_ns=0,
    )  # fmt: skip
    event = m.Ticked(at_ns=1, market_ns=1)
    made.row(event, [tripped, fill], loaded.strategy.universe.symbols)
    found = [(sorted(each.kinds), each.title) for each in made.queued()]
    asyncio.run(made.close())
    return repr(found)


def served(loaded: Any) -> str:
    """Where metrics are served, and when reports are written."""
    run: Any = SimpleNamespace(
        strategy=loaded.strategy, location=SimpleNamespace(folder=Path()), notify=None
    )

    async def jobs() -> list[str]:
        made = reports([run])
        if made is None:
            return []
        found = [str(job.trigger) for job in made.get_jobs()]
        made.shutdown(wait=False)
        return found

    return repr([addresses_of([run]), asyncio.run(jobs())])


def listened(loaded: Any) -> str:
    """How long market data is waited for, in a paper run."""
    clock = ManualClock(0)
    handler: Any = make_market(
        loaded, MemoryFeed(clock), Standing(grids_of(loaded.strategy)), clock=clock,
        put=lambda event: None, notify=lambda *_: None,
    )  # fmt: skip
    parts = [handler, handler.decision_times, handler.bars]
    return repr([
        (name, value) for part in parts for name, value in sorted(vars(part).items())
        if isinstance(value, int | float | str)
    ])  # fmt: skip


def built(layer: str, name: str, loaded: Any) -> str:
    """The object that a plugin makes of its settings."""
    strategy = loaded.strategy
    block = strategy.monitoring.alerts if layer == "monitoring" else strategy.data.candles
    assert name in block.use
    return repr(block.declaration(block.config))


def connected(loaded: Any) -> str:
    """The client of an exchange as it is built, and the terms of its use; nothing is sent."""
    from septet_plugins.exchange.clients import make_client

    found = []
    clock = ManualClock(0)
    candles = loaded.strategy.data.candles
    feed = candles.declaration(candles.config).stream(clock=clock)
    [(name, block)] = loaded.strategy.execution.venues.items()
    venue = block.declaration(block.config).connect(name=name, clock=clock, read=str)
    for each in (feed, venue):
        terms = each._terms
        secrets = {key: str(where) for key, where in getattr(terms, "secrets", {}).items()}
        client = make_client(terms.reach, secrets)
        names = ("apiKey", "secret", "password", "uid", "timeout", "enableRateLimit", "streaming")
        given = {key: getattr(client, key, None) for key in names}
        found += [repr(terms), client.id, given, client.urls["api"], client.options.get("leaf")]
    allowed = getattr(block.config, "allow_withdrawal", None)
    return repr([*found, allowed])


def asked(loaded: Any) -> str:
    """What is sent for a series, and what is made of a document; nothing leaves this process."""
    [(name, block)] = loaded.strategy.data.series.items()
    sent: list[Any] = []

    def opened(_: Any, request: Any, timeout: float) -> Any:
        sent.append((request.full_url, sorted(request.headers.items()), timeout))
        return io.BytesIO(json.dumps({"data": DOCUMENT}).encode())

    source = block.declaration(block.config)
    request: Any = SimpleNamespace(name=name, read=None, now_ns=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(urllib.request.OpenerDirector, "open", opened)
        table = source._rows(source._download(request), 1)
    return repr([sent, table.write_csv()])


SEES: dict[str, Any] = {
    "wired": leaves.wired, "market": leaves.market, "ran": leaves.ran, "swept": leaves.swept,
    "alerted": alerted, "served": served, "listened": listened, "connected": connected,
    "asked": asked,
}  # fmt: skip


# ---------------------------------------------------------------- the walk


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = tmp_path_factory.mktemp("leaves")
    (made / "plain.yaml").write_text(PLAIN, encoding="utf-8")
    (made / "model.yaml").write_text(MODEL, encoding="utf-8")
    (made / "weighed.yaml").write_text(WEIGHED, encoding="utf-8")
    write_data(made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEPTET_COMPILE", "never")
        patch.setenv("ALERT_URL", "json://localhost")
        patch.setenv("OTHER_URL", "json://127.0.0.1")
        yield made


@cache
def _seen(path: Path, see: Any, sets: tuple[str, ...], mode: str) -> str:
    return leaves.seen_or_refused(path, see, *sets, mode=mode)


def _differs(folder: Path, case: Case, see: Any = None) -> str:
    """Try a case; return why it shows nothing, empty if it does."""
    see, path = see or SEES[case.see], folder / f"{case.file}.yaml"
    before = _seen(path, see, case.base, case.mode)
    after = leaves.seen_or_refused(path, see, *case.base, case.change, mode=case.mode)
    if before.startswith("refused:") and after.startswith("refused:"):
        return f"the base is {before}"
    if after.startswith("refused:") and case.change not in REFUSED_CHANGES:
        return f"{case.change} is {after}"
    return "" if after != before else f"{case.change} changes nothing"


REFUSED_CHANGES = (
    "version=2", "plugins=[septet-not-there]", "perpetual.margin=cross", "account.currency=EUR",
    "account.type=perpetual", "data.candles.time_unit=ms", "data.candles.calendar=XFX",
    "data.candles.decimal='.'", "data.candles.delimiter=','", "data.candles.series=w1",
    "data.candles.names=[timestamp, open, high, low, volume, close]", "data.mood.decimal='.'",
    "data.mood.delimiter=','", "data.mood.header='no'", "data.mood.path=mood-days.csv",
    "data.mood.max_bytes=77", "data.mood.path=gone.parquet",
)  # fmt: skip
"""Changes whose effect is that the file, or the data read so, is refused; no other may be."""
TRIED_BELOW = ("Execution.at_start", "Strategy.mode", "Strategy.paper", "Strategy.live")
SCHEMA_LEAVES = [
    leaf for leaf in leaves.leaves_of_schemas()
    if leaf.partition(".")[0] not in ("Policies", "CandlesConfig", "SeriesConfig")
    and leaf not in (*NOT_YET, *PORTFOLIO_NOT_YET, *TRIED_BELOW)
]  # fmt: skip


@pytest.mark.parametrize("leaf", SCHEMA_LEAVES)
def test_every_key_of_the_schema_acts(leaf: str, folder: Path) -> None:
    cases = {**CASES, **PORTFOLIO_CASES}
    assert leaf in cases, (
        f"{leaf} has no case: add the file in which it matters, and where it is seen"
    )
    assert not (text := _differs(folder, cases[leaf])), f"{leaf} is accepted, and {text}"


def _place_of(plugin: str) -> tuple[str, str, str]:
    """Where a plugin's block stands: which file, its path, and what else is in it."""
    layer, name = plugin.split(": ")
    more = BLOCKS.get(plugin, "")
    if plugin == "models: series":  # it learns nothing
        return "plain", "model", more
    if layer == "models":
        keys = LABEL if name == "series" else f"{LABEL}, {TRAINING}"
        return "model", "model", ", ".join(filter(None, (more, keys)))
    if layer == "signals":
        file = "model" if name == "confidence" else "plain"
        return file, "signal.regime" if name == "volatility_regime" else "signal", more
    if layer == "risk":
        if name in SIZINGS:
            return "model" if name == "kelly" else "plain", "risk.sizing", more
        room = "stops" if name in STOPS else "halts" if name in HALTS else "limits"
        return "plain", f"risk.{room}.{name}", more
    if layer == "execution":
        return "plain", "execution.venues.sim" if name == "simulated" else "execution.order", more
    if layer == "monitoring":
        return "plain", "monitoring.alerts" if name in ("log", "apprise") else "monitoring.m", more
    return "plain", "features.f", more


def _cases_of(leaf: str) -> list[Case]:
    """Other values of a plugin's setting, each as a case."""
    plugin, _, setting = leaf.partition(".")
    file, path, more = _place_of(plugin)
    more = "price: low" if leaf == "risk: level.price" else more
    more = "window: 50" if leaf == "features: obv.window" else more
    name = plugin.split(": ")[1]
    inside = more if path.startswith(("risk.limits.", "risk.stops.", "risk.halts.")) else ", ".join(
        filter(None, (f"use: {name}", more))
    )  # fmt: skip
    base = [f"{path}={{{inside}}}"] if inside else []
    if leaf == "signals: rules.short_if":
        funding = "perpetual={funding: {rate: 1bps, every: 8h}}"
        base = ["account.type=perpetual", funding, *base]
    if name == "fixed_risk":
        base.insert(0, "risk.stops={stop_loss: 4%}")
    if "vol" in more:
        base.insert(0, "features.vol={use: volatility, period: 5}")
    if "mood" in more:
        base.insert(
            0, "data.mood={use: csv_series, path: mood.csv, time_zone: UTC, known_after: 1h}"
        )
    if setting == "fills":
        return [Case(f"{path}.{setting}=quotes", base=tuple(base), file=file, mode="paper")]
    tail = setting.rpartition(".")[2]
    where = "all.max=30%" if setting == "groups" else ""
    values = [where] if where else [f"{setting}={each}" for each in OTHERS.get(tail, ())]
    return [Case(f"{path}.{value}", base=tuple(base), file=file) for value in values]


INNER = ("features: running_max.of", "features: running_sum.of")
"""Settings of features that never forget: they are parts of others, and no file may name them."""
LATER = ("execution: simulated.intrabar",)
"""Settings that come later, as the keys of `NOT_YET` do."""
PLUGIN_LEAVES = [each for each in leaves.leaves_of_plugins() if not each.startswith("data: ")
                 and not each.startswith("execution: ccxt.")]  # fmt: skip


@pytest.mark.parametrize("leaf", PLUGIN_LEAVES)
def test_every_setting_of_a_plugin_acts(leaf: str, folder: Path) -> None:
    cases = _cases_of(leaf)
    assert cases, f"{leaf} has no other value: name one in OTHERS"
    if leaf in INNER:
        text = leaves.seen_or_refused(folder / "plain.yaml", leaves.wired, *cases[0].base)
        assert "never forgets" in text
        return
    if leaf in LATER:
        change = (*cases[0].base, cases[0].change)
        assert "not yet" in leaves.seen_or_refused(folder / "plain.yaml", leaves.wired, *change)
        return
    see = partial(built, "monitoring", "") if ": log." in leaf or ": apprise." in leaf else None
    tried: list[str] = []
    for case in cases:
        path = folder / f"{case.file}.yaml"
        after = leaves.seen_or_refused(
            path, see or SEES[case.see], *case.base, case.change, mode=case.mode
        )
        if after.startswith("refused:"):
            tried.append(after[:300])
            continue
        tried.append(_differs(folder, case, see))
        if not tried[-1]:
            return
    raise AssertionError(f"{leaf} is accepted, and no value acts: {tried}")


SOURCE_LEAVES = [each for each in leaves.leaves_of_plugins() if each.startswith("data: ")
                 or each.startswith("execution: ccxt.")]  # fmt: skip


@pytest.mark.parametrize("leaf", SOURCE_LEAVES)
def test_every_setting_of_a_source_and_a_venue_acts(leaf: str, folder: Path) -> None:
    assert leaf in DATA_CASES, f"{leaf} has no case"
    case = DATA_CASES[leaf]
    see = partial(built, "data", "") if case.see == "built" else None
    assert not (text := _differs(folder, case, see)), f"{leaf} is accepted, and {text}"


def test_tables_are_true() -> None:
    """No case of a key that is gone, and what is tried elsewhere is tried there."""
    known = set(leaves.leaves_of_schemas())
    assert {*CASES, *PORTFOLIO_CASES} <= known
    assert set(NOT_YET) <= known
    assert set(DATA_CASES) == set(SOURCE_LEAVES)
    assert set(NETWORK) <= set(SOURCE_LEAVES)
    by_name = {leaf.partition(".")[2] for leaf in known if leaf.startswith("CandleKeys.")}
    assert {
        leaf.partition(".")[2] for leaf in known if leaf.startswith("CandlesConfig.")
    } <= by_name
    for leaf, place in NETWORK.items():
        file, _, test = place.partition("::")
        text = (TESTS / file).read_text("utf-8")
        assert f"def {test}(" in text, place
        assert leaf.rpartition(".")[2] in text, f"{file} does not write {leaf}"
    for leaf in known:
        kind, _, name = leaf.partition(".")
        if kind == "Policies":
            places = [TESTS / "data" / each for each in POLICIES]
            assert any(name in each.read_text("utf-8") for each in places), f"{leaf} is nowhere"


OVERLAYS = """
paper: {risk: {sizing: {fraction: 5%}}}
live:
  risk: {sizing: {fraction: 7%}, halts: {drawdown: {above: 5%, then: flatten, resume: manual}}}
"""


def test_modes_and_what_each_changes(folder: Path) -> None:
    """`mode` of the file, and the keys that a mode changes."""
    (folder / "modes.yaml").write_text(PLAIN + OVERLAYS, encoding="utf-8")
    (folder / "paper.yaml").write_text(f"{PLAIN}mode: paper\n{OVERLAYS}", encoding="utf-8")
    venue = "execution.venues={binance: {use: ccxt, exchange: binance}}"
    seen = {
        mode: leaves.seen_or_refused(folder / "modes.yaml", leaves.wired, venue, mode=mode)
        for mode in ("backtest", "paper", "live")
    }
    assert len(set(seen.values())) == 3
    assert not any(each.startswith("refused:") for each in seen.values())
    assert leaves.seen_or_refused(folder / "paper.yaml", leaves.wired, venue) == seen["paper"]


def test_the_block_of_a_simulated_venue_serves_paper_too(folder: Path) -> None:
    """What it sets goes before `execution.simulation`, there as in a backtest."""
    sets = ["execution.simulation.fills=quotes", "execution.simulation.fee=1bps"]
    sets.append("execution.venues={sim: {use: simulated, fee: 77bps, latency: 2}}")
    loaded = load(folder / "plain.yaml", mode="paper", sets=sets)
    venue: Any = venue_of(loaded, ManualClock(0), {})
    assert (venue._simulation.fee.taker, venue._simulation.latency) == (0.0077, 2)


def test_at_start_decides_whether_a_start_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The venue reports at a restart an order that has ended meanwhile."""
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    stage = Stage(tmp_path)

    class Finds(Scripted):
        def handle(self, event: m.Event) -> Sequence[m.Command]:
            if isinstance(event, m.OpenOrders):
                return [m.Changed(order=1, client_id="x", symbol=0, state="filled", filled=1.0)]
            return super().handle(event)

    def core(loaded: Any, *, tag: str, instruments: Any, **_: Any) -> Any:
        made = stage.core(loaded, tag=tag, instruments=instruments)
        made.core = Finds(tag)
        return made

    for at_start, fresh in (("reconcile", False), ("refuse_if_different", True)):
        loaded = stage.world.load("live", mode="live", sets=[f"execution.at_start={at_start}"])
        wiring = Wiring(core, stage.connected, stage.world.feed)
        go = partial(
            run_live, [loaded], confirm=lambda question: True, clock=stage.world.clock,
            wiring=wiring, signals=False,
        )  # fmt: skip
        go(stage.world.options(bars=2, fresh=fresh))
        if at_start == "reconcile":
            assert go(stage.world.options(bars=4)).exit_code == 0
            continue
        with pytest.raises(RunError, match=r"the venue and the journal in .* differ"):
            go(stage.world.options(bars=4))
