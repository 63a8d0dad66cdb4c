"""For every leaf of a strategy file: a file in which it matters, and another value of it.

A case is what the base file is changed by first, what the leaf is changed by then, and where a
difference must be seen (`tests.schemas.leaves`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

__all__ = ["BLOCKS", "CASES", "MODEL", "NETWORK", "NOT_YET", "OTHERS", "PLAIN", "POLICIES", "Case"]

PLAIN: Final = """\
version: 1
name: leaf
account: {capital: 10000, currency: USDT}
universe: {symbols: [A/USDT, B/USDT], bar: 1h}
data: {candles: {use: synthetic, bars: 130, seed: 3, volatility: 90%}}
features: {fast: {use: sma, period: 3}, slow: {use: sma, period: 8}}
signal: {use: rules, long_if: fast > slow, exit_if: fast < slow}
risk: {sizing: {use: fixed_fraction, fraction: 50%}}
"""
MODEL: Final = """\
version: 1
name: leaf
account: {capital: 10000, currency: USDT}
universe: {symbols: [A/USDT, B/USDT], bar: 1h}
data: {candles: {use: synthetic, bars: 420, seed: 3, volatility: 90%}}
features: {ret: {use: log_return}, vol: {use: volatility, period: 10}}
model:
  use: sklearn
  estimator: RandomForestClassifier
  params: {n_estimators: 3, max_depth: 3}
  label: {use: direction, horizon: 2 bars}
  training: {train: 6d, step: 7d, min_rows: 60, min_class: 10}
signal: {use: confidence, threshold: 0.02}
risk: {sizing: {use: fixed_fraction, fraction: 40%}}
"""


class Case(NamedTuple):
    """How a leaf is tried."""

    change: str
    see: str = "wired"
    base: tuple[str, ...] = ()
    file: str = "plain"
    mode: str = "backtest"


def _labels() -> dict[str, Case]:
    label = "model.label={{use: {}}}".format
    barrier = (
        "model.label={use: triple_barrier, take_profit: 1%, stop_loss: 1%, time_limit: 4 bars}"
    )
    threshold = "model.label={use: threshold, horizon: 2 bars, above: 0.5%}"
    return {
        "DirectionLabel.use": Case(
            label("threshold, horizon: 2 bars, above: 0.5%"), file="model"),
        "DirectionLabel.horizon": Case("model.label.horizon=5 bars", file="model"),
        "ThresholdLabel.use": Case(label("direction"), base=(threshold,), file="model"),
        "ThresholdLabel.horizon": Case(
            "model.label.horizon=5 bars", base=(threshold,), file="model"),
        "ThresholdLabel.above": Case("model.label.above=1%", base=(threshold,), file="model"),
        "TripleBarrierLabel.use": Case(label("direction"), base=(barrier,), file="model"),
        **{
            f"TripleBarrierLabel.{name}": Case(
                f"model.label.{name}={value}", base=(barrier,), file="model"
            )
            for name, value in (
                ("take_profit", "2%"), ("stop_loss", "2%"), ("time_limit", "9 bars"))
        },
    }  # fmt: skip


_PERPETUAL: Final = (
    "account.type=perpetual", "perpetual={leverage: 5, funding: {rate: 1bps, every: 8h}}",
    "signal.short_if=fast < slow", "risk.sizing.fraction=480%", "risk.limits={position: 500%, "
    "gross_exposure: 900%}", "data.candles.volatility=300%",
)  # fmt: skip
_CSV: Final = ("data.candles={use: csv, path: 'bars-{symbol}.csv', time_zone: UTC, stamp: open}",)
_SERIES: Final = (
    "data.mood={use: csv_series, path: mood.csv, time_zone: UTC, known_after: 1h}",
    "features.mood={use: series, of: mood}",
)  # fmt: skip
_SWEEP: Final = (
    "sweep={over: {features.fast.period: [2, 3, 4], features.slow.period: {from: 8, to: 12, "
    "step: 2}}, goal: sharpe}",
)  # fmt: skip
_DRAWN: Final = (
    "sweep={over: {features.slow.period: {low: 8, high: 64, step: 8}}, method: random, trials: 4}",
)
_WIDE: Final = (
    "sweep={over: {features.slow.period: {low: 8, high: 640}}, method: random, trials: 9}",
)
_FEES: Final = "execution.simulation.fee={maker: 2bps, taker: 9bps}"
_RESTS: Final = "execution.order={use: limit, offset: 30bps, time_in_force: 2 bars}"
_SLIPS: Final = "execution.simulation.slippage={fraction: 3bps, volatility: 0.1, window: 10}"
_HALT: Final = ("risk.halts={drawdown: {above: 2%, then: flatten, resume: 5h}}",)
_TAKES: Final = ("risk.position={take: [{at: 1%, size: 50%}]}",)
_SMALL: Final = ("risk.sizing={use: fixed_fraction, fraction: 10%}",)
_ADDS: Final = (*_SMALL, "risk.position={add: [{when: close > first_price, size: 50%}]}")
_RUNGS: Final = (*_SMALL, "risk.position={add: [{at: ['-1%'], size: 50%}]}")
_BUYS: Final = (
    "signal=null", "risk.sizing=null", "risk.position={buy_every: {every: 5 bars, amount: 200}}",
)  # fmt: skip
_FUNDED: Final = (
    "account.type=perpetual", "perpetual={leverage: 5, funding: {rate: 1bps, every: 8h}}",
)  # fmt: skip
_GRID: Final = (
    "signal=null", "risk.sizing=null",
    "risk.position={grid: {centre: close, step: 1%, levels: 3, size: 10%}}",
)  # fmt: skip

_BLACKOUT: Final = (
    "data.news={use: csv_series, path: news.csv, known: seen}",
    "data.other={use: csv_series, path: other.csv, known: seen}",
    "universe.trading_hours={blackout: {series: news, before: 1h}}",
)
CASES: Final[Mapping[str, Case]] = {
    "Account.capital": Case("account.capital=20000", "ran"),
    "Account.currency": Case("account.currency=EUR"),
    "Account.type": Case("account.type=perpetual", "ran"),
    "AlertKeys.events": Case("monitoring.alerts.events=[fill]", "alerted", (
        "monitoring.alerts={use: log, events: [halt]}",), mode="paper"),
    "Monitoring.alerts": Case(
        "monitoring.alerts={use: log, events: [halt]}", "alerted", mode="paper"),
    "Metrics.prometheus": Case(
        "monitoring.metrics.prometheus=127.0.0.1:9109", "served", mode="paper"),
    "Schedule.report": Case("schedule.report='daily 09:30 UTC'", "served", mode="paper"),
    "CandleKeys.stamp": Case("data.candles.stamp=close", "market", _CSV),
    "CandleKeys.time_zone": Case("data.candles.time_zone=Asia/Tokyo", "market", _CSV),
    "CandleKeys.time_unit": Case("data.candles.time_unit=ms", "market", (
        "data.candles={use: csv, path: 'epoch-{symbol}.csv', time_unit: s, stamp: open}",)),
    "CandleKeys.calendar": Case("data.candles.calendar=XFX", "market", _CSV),
    "CandleKeys.adjust": Case("data.candles.adjust=total", "market", (
        "data.candles={use: csv, path: 'shares-{symbol}.csv', time_zone: UTC, stamp: open, "
        "adjust: none}",)),
    "CandleKeys.volume_in": Case("data.candles.volume_in=quote", "market", _CSV),
    "CandleKeys.reset_after": Case("data.candles.reset_after=1"),
    "CandleKeys.max_staleness": Case("data.candles.max_staleness=7m", "listened", mode="paper"),
    "CandleKeys.grace": Case("data.candles.grace=9s", "listened", mode="paper"),
    "CandleKeys.decide_within": Case("data.candles.decide_within=9s", "listened", mode="paper"),
    "CandleKeys.max_bad": Case("data.candles.max_bad=20%", "market", (
        "data.candles={use: csv, path: 'bad-{symbol}.csv', time_zone: UTC, stamp: open}",)),
    "SeriesKeys.time_zone": Case("data.mood.time_zone=Asia/Tokyo", "market", _SERIES),
    "SeriesKeys.time_unit": Case("data.mood.time_unit=ms", "market", (
        "data.mood={use: csv_series, path: mood-epoch.csv, known_after: 1h, time_unit: s}",
        "features.mood={use: series, of: mood}")),
    "SeriesKeys.known_after": Case("data.mood.known_after=3h", "market", _SERIES),
    "SeriesKeys.every": Case("data.mood.every=1d at 00:10", "market", _SERIES),
    "SeriesKeys.max_age": Case("data.mood.max_age=3h", "market", _SERIES),
    "SeriesKeys.max_bad": Case("data.mood.max_bad=20%", "market", (
        "data.mood={use: csv_series, path: mood-bad.csv, time_zone: UTC, known_after: 1h}",
        "features.mood={use: series, of: mood}")),
    "SeriesKeys.optional": Case("data.mood.optional=true", "market", (
        "data.mood={use: http_json, url: 'http://127.0.0.1:9/a', select: a, time: b, "
        "known_after: 1h, time_zone: UTC}", "features.mood={use: series, of: mood, missing: 1}")),
    "Data.candles": Case("data.candles={use: synthetic, bars: 130, seed: 4}", "market"),
    "Data.funding": Case("data.funding={use: csv_series, path: funding.csv, time_zone: UTC, "
        "known_after: 0s}", "market", ("account.type=perpetual",)),
    "Execution.venues": Case("execution.venues={sim: {use: simulated, fee: 77bps}}"),
    "Execution.order": Case(_RESTS),
    "Execution.at_start": Case("execution.at_start=refuse_if_different", "started", mode="paper"),
    "Execution.instruments": Case("execution.instruments={A/USDT: {lot: 5, tick: 1, "
        "min_notional: 10}}", "ran"),
    **{
        f"InstrumentSpec.{name}": Case(f"execution.instruments.A/USDT.{name}={value}", "ran", (
            "execution.instruments={A/USDT: {lot: 0.01, tick: 0.01, min_notional: 10}}",))
        for name, value in (("tick", "3"), ("lot", "4"), ("min_notional", "6000"),
            ("min_quantity", "60"))
    },
    "ExitRule.opposite": Case("signal.exit.opposite=false", file="model"),
    "ExitRule.after": Case("signal.exit.after=9 bars", file="model"),
    "ExitRule.below": Case("signal.exit.below=0.01", file="model"),
    "FeatureKeys.bar": Case("features.slow.bar=4h"),
    "Fee.maker": Case("execution.simulation.fee.maker=30bps", base=(_FEES,)),
    "Fee.taker": Case("execution.simulation.fee.taker=30bps", base=(_FEES,)),
    "Fee.fee_currency": Case("execution.simulation.fee.fee_currency=base", "ran", (_FEES,)),
    "FillMonitoring.slippage_alarm": Case("monitoring.fills.slippage_alarm=1bps", "ran", (
        "execution.simulation.slippage=9bps",)),
    "FillMonitoring.latency_alarm": Case("monitoring.fills.latency_alarm=9s"),
    "Funding.rate": Case("perpetual.funding.rate=9bps", "ran", _PERPETUAL),
    "Funding.every": Case("perpetual.funding.every=4h", "ran", _PERPETUAL),
    "HaltKeys.then": Case("risk.halts.drawdown.then=block_entries", "ran", _HALT),
    "HaltKeys.resume": Case("risk.halts.drawdown.resume=50h", "ran", _HALT),
    "ModelKeys.scale": Case("model.scale=standard", file="model"),
    "ModelKeys.calibrate": Case("model.calibrate=sigmoid", file="model"),
    "ModelKeys.inputs": Case("model.inputs=[ret]", file="model"),
    **{
        f"ModelMonitoring.{name}": Case(f"monitoring.model.{name}={value}", file="model")
        for name, value in (("auc_window", 77), ("auc_floor", 0.4), ("auc_warn", 0.6),
                            ("psi_window", 120), ("psi_warn", 0.2), ("psi_retrain", 0.4))
    },
    "Perpetual.leverage": Case("perpetual.leverage=9", "ran", _PERPETUAL),
    "Perpetual.margin": Case("perpetual.margin=cross", "ran", _PERPETUAL),
    "Perpetual.maintenance": Case("perpetual.maintenance=6%", base=_PERPETUAL),
    "Perpetual.liquidation_fee": Case("perpetual.liquidation_fee=4%", base=_PERPETUAL),
    "Rebalance.band": Case("risk.rebalance={band: 1%}", "ran"),
    "Risk.rebalance: never": Case("risk.rebalance=never", "ran", base=(
        "features.vol={use: volatility, period: 5, annualise: 365d}",
        "risk.sizing={use: volatility_target, target: 20%, of: vol, max: 80%}")),
    "SignalKeys.reentry: rearm": Case(
        "signal.reentry=rearm", base=("signal.reentry={after: 3 bars}",)),
    "SignalKeys.reentry: immediate": Case(
        "signal.reentry=immediate", base=("signal.reentry={after: 3 bars}",)),
    "Reentry.policy": Case("signal.reentry=immediate"),
    "Reentry.after": Case(
        "signal.reentry={after: 9 bars}", base=("signal.reentry={after: 3 bars}",)),
    "RegimeKeys.trade_in": Case("signal.regime.trade_in=[high]", base=(
        "features.vol={use: volatility, period: 5}",
        "signal.regime={use: volatility_regime, of: vol, trade_in: [low], window: 3d, min: 20}")),
    "SignalKeys.min_interval": Case("signal.min_interval=9 bars"),
    "SignalKeys.regime": Case(
        "signal.regime={use: volatility_regime, of: vol, trade_in: [low], window: 3d, min: 20}",
        base=("features.vol={use: volatility, period: 5}",)),
    "Risk.sizing": Case("risk.sizing={use: fixed_quantity, quantity: 3}"),
    "Risk.limits": Case("risk.limits={position: 10%}"),
    "Risk.stops": Case("risk.stops={stop_loss: 1%}"),
    "Risk.halts": Case("risk.halts={daily_loss: {above: 1%, then: flatten, resume: next_day}}"),
    "Risk.allocate": Case("risk.allocate=pro_rata"),
    "Risk.split": Case("risk.split=equal"),
    "Risk.adopt": Case("risk.adopt=adopt", base=("risk.stops={stop_loss: 2%}",)),
    "PositionSteps.add": Case("risk.position.add=[{at: '-1%', size: 50%}]", "ran", _TAKES),
    "PositionSteps.take": Case("risk.position.take=[{at: 3%, size: 50%}]", "ran", _TAKES),
    "BuyEvery.every": Case("risk.position.buy_every.every=9 bars", "ran", _BUYS),
    "BuyEvery.amount": Case("risk.position.buy_every.amount=300", "ran", _BUYS),
    "Grid.centre": Case("risk.position.grid.centre=close * 0.99", "ran", _GRID),
    "Grid.step": Case("risk.position.grid.step=2%", "ran", _GRID),
    "Grid.levels": Case("risk.position.grid.levels=2", "ran", _GRID),
    "Grid.size": Case("risk.position.grid.size=5%", "ran", _GRID),
    "Grid.short": Case("risk.position.grid.short=true", "ran", (*_GRID, *_FUNDED)),
    "Add.when": Case("risk.position.add=[{when: close > open, size: 50%}]", "ran", _ADDS),
    "Add.at": Case("risk.position.add=[{at: ['-1%', 1%], size: 50%}]", "ran", _RUNGS),
    "Add.size": Case(
        "risk.position.add=[{when: close > first_price, size: 20%}]", "ran", _ADDS),
    "Add.times": Case(
        "risk.position.add=[{when: close > first_price, size: 50%, times: 3}]", "ran", _ADDS),
    "Add.min_interval": Case(
        "risk.position.add=[{when: close > first_price, size: 50%, min_interval: 9 bars}]", "ran",
        _ADDS),
    "Take.at": Case("risk.position.take=[{at: 3%, size: 50%}]", "ran", _TAKES),
    "Take.when": Case(
        "risk.position.take=[{when: bars_held > 5, size: 50%}]", "ran",
        ("risk.position={take: [{when: bars_held > 2, size: 50%}]}",)),
    "Take.size": Case("risk.position.take=[{at: 1%, size: 20%}]", "ran", _TAKES),
    "Then.stop": Case(
        "risk.position.take=[{at: 1%, size: 50%, then: {stop: break_even}}]", "ran", _TAKES),
    "Risk.cash_buffer": Case("risk.cash_buffer=7%"),
    "Simulation.latency": Case("execution.simulation.latency=2"),
    "Simulation.participation": Case("execution.simulation.participation=1%"),
    "Simulation.time_in_force": Case("execution.simulation.time_in_force=4 bars", base=(
        "execution.simulation.participation=1%",)),
    "Simulation.fills": Case("execution.simulation.fills=book", mode="paper"),
    "Slippage.fraction": Case("execution.simulation.slippage.fraction=9bps", base=(_SLIPS,)),
    "Slippage.volatility": Case("execution.simulation.slippage.volatility=0.4", base=(_SLIPS,)),
    "Slippage.window": Case("execution.simulation.slippage.window=30", base=(_SLIPS,)),
    "Strategy.version": Case("version=2"),
    "Strategy.name": Case("name=other", "ran"),
    "Strategy.seed": Case("seed=99", "ran", file="model", base=(
        "data.candles.bars=180", "model.training.train=4d", "model.training.step=1d")),
    "Strategy.plugins": Case("plugins=[septet-not-there]"),
    "Strategy.features": Case("features.more={use: rsi, period: 5}"),
    "Strategy.model": Case("model.estimator=GaussianNB", base=("model.params={}",), file="model"),
    "Strategy.signal": Case("signal.long_if=fast < slow"),
    "Strategy.time_zone": Case("time_zone=America/New_York"),
    "Strategy.day_start": Case("day_start='17:00'"),
    "Strategy.benchmark": Case("benchmark=B/USDT", "ran"),
    "Sweep.over": Case(_SWEEP[0].replace("[2, 3, 4]", "[2]"), "swept", _SWEEP),
    "Sweep.where": Case("sweep.where='fast.period < 3'", "swept", _SWEEP),
    "Sweep.method": Case("sweep.method=random", "swept", (*_SWEEP, "sweep.trials=4",
        "sweep.method=grid")),
    "Sweep.trials": Case("sweep.trials=3", "swept", _DRAWN),
    "Sweep.goal": Case("sweep.goal=total_return", "swept", _SWEEP),
    "SweepDraw.low": Case(_DRAWN[0].replace("low: 8", "low: 16"), "swept", _DRAWN),
    "SweepDraw.high": Case(_DRAWN[0].replace("high: 64", "high: 32"), "swept", _DRAWN),
    "SweepDraw.log": Case(_WIDE[0].replace("640", "640, log: true"), "swept", _WIDE),
    "SweepDraw.step": Case(_DRAWN[0].replace("step: 8", "step: 7"), "swept", _DRAWN),
    "SweepRange.first": Case(_SWEEP[0].replace("from: 8", "from: 10"), "swept", _SWEEP),
    "SweepRange.to": Case(_SWEEP[0].replace("to: 12", "to: 14"), "swept", _SWEEP),
    "SweepRange.step": Case(_SWEEP[0].replace("step: 2", "step: 1"), "swept", _SWEEP),
    "Training.scheme": Case("model.training={scheme: stored, path: models/mine}", file="model"),
    "Training.path": Case("model.training.path=models/other", file="model", base=(
        "model.training={scheme: stored, path: models/mine}",)),
    **{
        f"Training.{name}": Case(f"model.training.{name}={value}", file="model")
        for name, value in (
            ("window", "expanding"), ("train", "5d"), ("step", "3d"), ("purge", "9 bars"),
            ("embargo", "2 bars"), ("expire_after", "9d"), ("ready_after", "3 bars"),
            ("on_drift", "true"), ("min_rows", "50"), ("min_class", "5"),
        )
    },
    "Universe.symbols": Case("universe.symbols=[A/USDT]", "market"),
    "Universe.bar": Case("universe.bar=2h", "market"),
    "Universe.start": Case("universe.start=2020-01-03", "ran"),
    "Universe.end": Case("universe.end=2020-01-04", "ran"),
    "TradingHours.open": Case("universe.trading_hours.open='mon-fri 10:00-16:00 UTC'", "ran", (
        "universe.trading_hours={open: 'mon-fri 03:00-16:00 UTC'}",)),
    "TradingHours.flat_at_close": Case("universe.trading_hours.flat_at_close=true", "ran", (
        "universe.trading_hours={open: 'mon-fri 03:00-16:00 UTC'}",)),
    "Blackout.series": Case("universe.trading_hours.blackout.series=other", base=_BLACKOUT),
    "Blackout.before": Case("universe.trading_hours.blackout.before=2h", base=_BLACKOUT),
    "Blackout.after": Case("universe.trading_hours.blackout.after=2h", base=_BLACKOUT),
    "Risk.max_positions": Case("risk.max_positions=1", "ran"),
    "Execution.on_shutdown": Case("execution.on_shutdown=flatten"),
    **_labels(),
}  # fmt: skip

NOT_YET: Final = (
    "Execution.one_cancels_other", "Execution.router", "Perpetual.hedge_mode",
    "Simulation.intrabar", "Strategy.netting", "Strategy.reset", "Strategy.spreads",
    "Strategy.strategies",
)  # fmt: skip
"""Keys that come later: `test_every_key_is_read` changes each and reads its message."""
POLICIES: Final = (
    "test_normalise.py", "test_row_admission.py", "test_bar_checks.py", "test_stamps.py",
    "test_mixture.py", "test_price_steps.py", "test_zones.py",
)  # fmt: skip
"""Where the policy of each defect is changed, or its default acts, on data that has the defect."""

OTHERS: Final[Mapping[str, tuple[str, ...]]] = {
    "intrabar": ("1m",),
    "of": ("open", "volume", "ret", "fast"), "period": ("7",), "by": ("3", "session", "week"),
    "lag": ("3",), "deviations": ("3.0",), "ddof": ("1",), "annualise": ("365d",),
    "change": ("simple",), "to": ("open@B/USDT", "low"), "minus": ("low",),
    "formula": ("close * 2",), "atr_period": ("5",), "multiple": ("1.5",), "fast": ("5",),
    "slow": ("30",), "signal": ("4",), "anchor": ("week",), "window": ("300", "9 bars", "2d"),
    "step": ("0.05",), "most": ("0.4",), "smooth": ("5",), "missing": ("2",),
    "long_if": ("fast < 1",),
    "short_if": ("fast < 1",), "exit_if": ("fast < 1",), "threshold": ("0.1",),
    "trade_in": ("[high]",),
    "min": ("30",), "above": ("3%", "0.5"), "max": ("33%", "7", "999"), "min_bars": ("40",),
    "fraction": ("0.33",), "quantity": ("5",), "count": ("9",), "distance": ("3%",),
    "after": ("9 bars", "1%", "9h"), "target": ("10%",), "offset": ("7bps",),
    "time_in_force": ("5 bars",),
    "slack": ("9bps",), "patience": ("9s",), "max_slippage": ("3bps",), "trades": ("7", "5 trades"),
    "verdict": ("warn", "halt"), "average_win": ("3%",), "average_loss": ("3%",),
    "min_each": ("9",), "risk": ("3%",), "price": ("low - 1",), "long": ("low - 2",),
    "short": ("high + 2",),
    "symbols": ("[A/USDT]",), "class_weight": ("balanced",), "estimator": ("ExtraTreesClassifier",),
    "params": ("{max_depth: 2}",), "latency": ("2",), "participation": ("2%",), "path": ("other",),
    "fee": ("66bps",), "slippage": ("66bps",), "fills": ("quotes",), "boosting_type": ("dart",),
    "n_estimators": ("9",), "learning_rate": ("0.3",), "num_leaves": ("5",), "max_depth": ("3",),
    "min_child_samples": ("7",), "min_child_weight": ("0.5",), "min_split_gain": ("0.5",),
    "subsample": ("0.5",), "subsample_freq": ("2",), "colsample_bytree": ("0.5",),
    "reg_alpha": ("0.5",), "reg_lambda": ("0.5",), "max_bin": ("63",), "n_jobs": ("2",),
    "level": ("error",), "urls": ("[env:OTHER_URL]",),
    "odds": ("{average_win: 9%, average_loss: 1%}",),
}  # fmt: skip
"""Other values of a plugin's setting, by its name; the first that the file takes counts."""
BLOCKS: Final[Mapping[str, str]] = {
    # what a plugin's block must have; nothing where it may stand alone
    "features: beta": "to: close@B/USDT", "features: correlation": "to: close@B/USDT",
    "features: difference": "of: close, minus: open", "features: ratio": "of: close, to: open",
    "features: expr": "formula: close - open", "features: obv": "anchor: day",
    "features: drawdown": "window: 50", "features: series": "of: mood",
    "features: sum_since": "of: volume, by: volume",
    "signals: volatility_regime": "of: vol, trade_in: [low], window: 3d, min: 20",
    "signals: rules": "long_if: fast > slow, exit_if: fast < slow",
    "risk: daily_loss": "above: 5%, then: flatten, resume: next_day",
    "risk: drawdown": "above: 5%, then: flatten, resume: manual",
    "risk: losses_in_a_row": "count: 4, then: flatten, resume: manual",
    "risk: fixed_quantity": "quantity: 2", "risk: max_order_value": "max: 5000",
    "risk: groups": "all: {symbols: [A/USDT, B/USDT], max: 60%}", "risk: stop_loss": "distance: 2%",
    "risk: level": "long: low, short: high",
    "risk: take_profit": "distance: 2%", "risk: time_limit": "after: 5 bars",
    "risk: trailing": "distance: 2%, after: 2%", "risk: volatility_target": "of: vol",
    "risk: kelly": "odds: {average_win: 2%, average_loss: 1%}",
    "models: sklearn": "estimator: RandomForestClassifier", "models: stored": "path: mine",
    "models: series": "of: vol", "monitoring: apprise": "urls: [env:ALERT_URL]",
}  # fmt: skip

NETWORK: Final = {
    "execution: ccxt.params": "execution/test_sending.py::"
        "test_params_of_the_file_go_with_every_order_and_cannot_change_it",
    "execution: ccxt.answers_final_after": "execution/test_venue_keys.py::"
        "test_answers_final_after_is_how_long_the_core_waits_before_no_such_order_is_final",
    "execution: ccxt.skew": "live/test_core.py::"
        "test_the_clocks_may_be_as_far_apart_as_the_venue_of_the_file_sets",
    "execution: ccxt.poll": "execution/test_ccxt_venue.py::"
        "test_without_a_stream_the_account_is_polled",
    "execution: ccxt.allow_withdrawal": "live/test_goes_on.py::"
        "test_a_key_that_may_withdraw_is_taken_where_the_file_allows_it",
    "data: ccxt.params": "data/test_ccxt_history.py::"
        "test_params_of_the_file_go_with_each_request",
    "data: ccxt.poll": "data/test_ccxt_feed.py::"
        "test_where_nothing_streams_everything_is_polled",
    "data: ccxt.page_bars": "data/test_ccxt_history.py::"
        "test_a_page_holds_as_many_bars_as_the_file_sets",
    "data: ccxt.retries": "data/test_ccxt_history.py::test_gives_up_with_what_it_has",
}  # fmt: skip
"""Only requests show these; here they are seen in the terms handed to the connection."""
