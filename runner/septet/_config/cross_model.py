"""Cross-checks of the model: its label, its schedule, and its use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from septet._config.check_context import CheckContext, asks_for, portfolio_readings
from septet_schemas.blocks import UseBlock
from septet_schemas.training import Training, TripleBarrierLabel
from septet_schemas.units import Span, format_duration

__all__ = ["CHECKS", "is_kelly"]

_CALIBRATION_BLOCKS: Final = 5
_ISOTONIC_ROWS: Final = 1_000
_HIGH_THRESHOLD: Final = 0.5
"""A confidence of three to one, rare for models of prices: a probability was probably meant."""
_FEW_ROWS: Final = 30
"""With fewer non-overlapping rows the upper bound of an AUC has almost no meaning."""


def _training(model: UseBlock) -> Training:
    training: Training = model.extra["training"]
    return training


def _is_trained(model: UseBlock) -> bool:
    """Return whether the run fits its models; a stored model was fitted before."""
    return model.use != "stored" and _training(model).scheme == "walk_forward"


def _horizon(model: UseBlock) -> Span:
    horizon: Span = model.extra["label"].horizon
    return horizon


def check_model_used(context: CheckContext) -> None:
    """A model has features, and something acts on its predictions."""
    model, strategy = context.strategy.model, context.strategy
    if model is None:
        return
    if not strategy.features and not context.pruned:
        context.error(("model",), "a model needs features", on_key=True)
    asks = asks_for(strategy.signal, "up", "down", "confidence") or any(
        each.text == "edge" for each in portfolio_readings(strategy)
    )
    if not asks:
        context.warn(
            ("model",),
            f"this model is trained and never asked: signal {strategy.signal.use} reads no "
            "probability",
            on_key=True,
            hint="use: confidence acts on the model, or remove the model",
        )


def check_threshold(context: CheckContext) -> None:
    """A threshold of the confidence is not the probability that it asks for."""
    signal = context.strategy.signal
    threshold = getattr(signal.config, "threshold", None)
    if signal.use != "confidence" or threshold is None or threshold < _HIGH_THRESHOLD:
        return
    hint = "few models reach it; `septet why` and the verdict state the highest confidence of a run"
    if threshold < 1.0:
        hint = (
            f"if p = {threshold:.6g} was meant, write threshold: {100 * (2 * threshold - 1):.6g}%; "
            f"{hint}"
        )
    context.warn(
        ("signal", "threshold"),
        f"the confidence is 2 * |p - 0.5|, so this threshold asks for a probability of at least "
        f"{0.5 + threshold / 2:.6g} for long, or at most {0.5 - threshold / 2:.6g} for short",
        hint=hint,
    )


def check_uneven_barriers(context: CheckContext) -> None:
    """A model without skill does not enter on one side at every bar.

    Its probability of an up move is the base rate of the label: with barriers at distances t
    (take profit) and s (stop loss), a price without drift reaches the upper one first with the
    probability s / (t + s). Balanced class weights move it to one half.
    """
    model, signal = context.strategy.model, context.strategy.signal
    label = model.extra["label"] if model is not None and _is_trained(model) else None
    if not isinstance(label, TripleBarrierLabel) or context.doubtful("model", "label"):
        return
    if getattr(model.config, "class_weight", None) is not None:  # type: ignore[union-attr]
        return
    threshold = getattr(signal.config, "threshold", None)
    if signal.use != "confidence" or threshold is None:
        return
    base_rate = label.stop_loss / (label.take_profit + label.stop_loss)
    confidence = 2.0 * abs(base_rate - 0.5)
    side = "long" if base_rate > 0.5 else "short"
    if confidence < threshold or (side == "short" and not context.is_perpetual):
        return
    context.warn(
        ("signal", "threshold") if context.written("signal", "threshold") else ("model", "label"),
        f"with barriers of {100 * label.take_profit:.4g}% and {100 * label.stop_loss:.4g}% a model "
        f"without skill predicts about {base_rate:.2g}, the base rate, and a confidence of "
        f"{100 * confidence:.2g}% {side}: it would enter {side} at every bar",
        hint="equal barriers, class_weight: balanced, or a threshold above "
        f"{100 * confidence:.2g}%",
    )


def check_exit_below(context: CheckContext) -> None:
    """An exit by confidence needs a model."""
    if context.strategy.model is None and context.strategy.signal.extra["exit"].below is not None:
        context.error(
            ("signal", "exit", "below"),
            "without a model there is no confidence to fall below",
            on_key=True,
            hint="leave it out, or give the strategy a model; rules leave by exit_if",
        )


def check_learns(context: CheckContext) -> None:
    """A model without training has no keys about learning, and any other model has some."""
    model = context.strategy.model
    if model is None:
        return
    if type(model.config).learns:
        if _training(model).scheme == "none":
            context.error(
                ("model", "training", "scheme"),
                f"{model.use} is a model that is trained",
                expected="walk_forward or stored",
                found="none",
            )
        return
    effects = {
        "training": _training(model).scheme == "none",
        "scale": model.extra["scale"] == "none",
        "calibrate": model.extra["calibrate"] == "none",
    }
    for name in [each for each, is_unset in effects.items() if not is_unset]:
        context.error(
            ("model", name),
            f"{model.use} learns nothing: {name} has no effect",
            on_key=True,
            hint=f"remove {name}",
        )


def check_stored(context: CheckContext) -> None:
    """A stored model is not trained, and is named in one place."""
    model = context.strategy.model
    if model is None or model.use != "stored":
        return
    for name in ("calibrate", "scale"):
        if model.extra[name] != "none":
            context.error(
                ("model", name),
                f"a stored model keeps what it was trained with: {name} has no effect",
                on_key=True,
                hint=f"remove {name}; septet train writes a model with another one",
            )
    training = _training(model)
    if training.scheme == "walk_forward":
        context.error(
            ("model", "training", "scheme"),
            "a stored model was trained before: the run trains none",
            expected="stored",
            found=training.scheme,
            hint="leave scheme out, or name the estimator in use:",
        )
    elif training.path not in (None, getattr(model.config, "path", None)):
        context.error(
            ("model", "training", "path"),
            "the file names two folders of one stored model",
            expected=str(getattr(model.config, "path", None)),
            found=str(training.path),
            hint="leave training.path out",
        )


def check_purge(context: CheckContext) -> None:
    """Training rows whose label reaches into the test block are left out."""
    model = context.strategy.model
    if model is None or not _is_trained(model):
        return
    purge, horizon = _training(model).purge, _horizon(model)
    if purge is not None and purge.bars(context.bar_ns) < horizon.bars(context.bar_ns):
        context.error(
            ("model", "training", "purge"),
            "purge is shorter than the label looks ahead: training would see the test's future",
            expected=f"{horizon} or more",
            found=str(purge),
            hint="leave purge out: it is the label's horizon then",
        )


def check_schedule(context: CheckContext) -> None:
    """Models overlap in time, and there is enough to learn from."""
    model = context.strategy.model
    if model is None or not _is_trained(model):
        return
    training = _training(model)
    step_ns = training.longest_step_ns
    if training.expire_after is not None and training.expire_after < step_ns:
        name = "step" if isinstance(training.step, int) else f"the longest step of {training.step}"
        context.error(
            ("model", "training", "expire_after"),
            "every model expires before the next one is made",
            expected=f"{format_duration(step_ns)} ({name}) or more",
            found=format_duration(training.expire_after),
        )
    rows = training.train // context.bar_ns * len(context.strategy.universe.symbols)
    if rows < training.min_rows:
        context.error(
            ("model", "training", "train"),
            f"no window can be trained: {format_duration(training.train)} hold {rows} rows",
            expected=f"{training.min_rows} rows (min_rows) or more",
            hint="make train longer, the bar shorter, or min_rows smaller",
        )
    _warn_isotonic(context, model, rows)
    if training.embargo.bar_count or training.embargo.duration_ns:
        context.warn(
            ("model", "training", "embargo"),
            "embargo does nothing in walk_forward: no training row follows a test block",
            hint="remove it",
        )


def _warn_isotonic(context: CheckContext, model: UseBlock, rows: int) -> None:
    """An isotonic calibration of few rows fits their noise: worse than none."""
    fold = rows // _CALIBRATION_BLOCKS
    if model.extra["calibrate"] == "isotonic" and fold < _ISOTONIC_ROWS:
        context.warn(
            ("model", "calibrate"),
            f"isotonic calibration has {fold:,} rows a fold here, and fits noise in so few",
            expected=f"{_ISOTONIC_ROWS:,} rows a fold, a fifth of the window each",
            hint="calibrate: sigmoid, or a longer training.train",
        )


def check_kelly(context: CheckContext) -> None:
    """Kelly needs a probability: from a model, calibrated, of the trade that is taken."""
    sizing, model = context.strategy.risk.sizing, context.strategy.model
    if not is_kelly(sizing):
        return
    if model is None:
        if not context.doubtful("model"):
            context.error(
                ("risk", "sizing", "use"),
                f"{sizing.use} sizes by a model's probability, and there is no model",
                hint="use: fixed_fraction needs none",
            )
        return
    _warn_calibration(context, model)
    _warn_exit(context, model)
    _warn_cap(context)
    _warn_half_odds(context)
    _check_odds_window(context)


def is_kelly(sizing: UseBlock) -> bool:
    """Whether a size follows from a model's probability and the odds of a trade."""
    return asks_for(sizing, "up", "down") and hasattr(sizing.config, "odds")


def _warn_calibration(context: CheckContext, model: UseBlock) -> None:
    if model.extra["calibrate"] != "none" or type(model.config).gives_probability:
        return
    if model.use == "stored" or _training(model).scheme == "stored":
        return  # the model's card records whether it is calibrated, and is read later
    parameters = getattr(model.config, "params", None)
    weights = parameters.get("class_weight") if isinstance(parameters, dict) else None
    reason = "no calibration"
    if weights is not None:
        shown = str(weights).replace("'", "")
        reason = f"class_weight {shown} and no calibration: the balance is learnt, not the odds"
    context.warn(
        ("model", "calibrate"),
        f"Kelly takes the model's output for a probability, and it has {reason}",
        hint="calibrate: sigmoid",
    )


def check_exit_after(context: CheckContext) -> None:
    """`after: none` closes no position; only with a model does it differ from an absent key."""
    after = context.strategy.signal.extra["exit"].after
    if context.strategy.model is None and after is not None and not after.bars(context.bar_ns):
        context.error(
            ("signal", "exit", "after"),
            "after no time at all no position is left: it would change nothing",
            hint="write after: 1 bar or more, or leave it out",
        )


def _warn_exit(context: CheckContext, model: UseBlock) -> None:
    label, after = model.extra["label"], context.strategy.signal.extra["exit"].after
    if isinstance(label, TripleBarrierLabel):
        _warn_barriers(context, label)
        return
    if after is not None and after.bars(context.bar_ns) != label.horizon.bars(context.bar_ns):
        context.warn(
            ("signal", "exit", "after"),
            f"the exit has nothing to do with the label: the model predicts {label.horizon} ahead, "
            f"the position is held for {after}",
            hint="Kelly's odds are of another bet: leave exit.after out, or label that horizon",
        )


def _warn_barriers(context: CheckContext, label: TripleBarrierLabel) -> None:
    for name, barrier in (("take_profit", label.take_profit), ("stop_loss", label.stop_loss)):
        stop = context.strategy.risk.stops.get(name)
        distance = getattr(stop.config, "distance", None) if stop is not None else None
        if distance != barrier:
            context.warn(
                ("risk", "stops", name),
                f"the exit has nothing to do with the label: its {name} barrier is at "
                f"{barrier:.4g}, and {'no stop stands there' if distance is None else distance}",
                hint=f"stops: {{{name}: {barrier * 100:g}%}}",
            )


def _warn_cap(context: CheckContext) -> None:
    """Warn when Kelly is at its cap already at the weakest signal that acts."""
    config, threshold = (
        context.strategy.risk.sizing.config,
        getattr(context.strategy.signal.config, "threshold", None),
    )
    odds, cap = getattr(config, "odds", None), getattr(config, "max", None)
    win, loss = getattr(odds, "average_win", None), getattr(odds, "average_loss", None)
    if not threshold or not cap or not win or not loss:
        return
    probability, ratio = 0.5 + threshold / 2.0, win / loss
    size = getattr(config, "fraction", 1.0) * (probability * ratio - (1 - probability)) / ratio
    if size >= 0.95 * cap:
        context.warn(
            ("risk", "sizing", "max"),
            f"Kelly is at its cap already at the threshold: p = {probability:.3g} asks for "
            f"{100 * size:.2f} % of equity, max is {100 * cap:.2f} %",
            hint="every trade has the same size then: use fixed_fraction, raise max, or lower "
            "fraction",
        )


def _warn_half_odds(context: CheckContext) -> None:
    """Warn if one side of Kelly's odds is set by the file and the other is septet's default."""
    path, names = ("risk", "sizing", "odds"), ("average_win", "average_loss")
    written = [name for name in names if context.written(*path, name)]
    odds = getattr(context.strategy.risk.sizing.config, "odds", None)
    if len(written) != 1 or odds is None:
        return
    (default,) = [name for name in names if name not in written]
    context.warn(
        (*path, written[0]),
        f"Kelly divides the average win by the average loss, and {default} is the default, "
        f"{getattr(odds, default) * 100:g} %",
        hint=f"write {default} as well",
    )


def _check_odds_window(context: CheckContext) -> None:
    """The window of Kelly's odds can hold the wins and losses that it waits for."""
    odds = getattr(context.strategy.risk.sizing.config, "odds", None)
    window, each = getattr(odds, "window", None), getattr(odds, "min_each", None)
    if window is None or each is None or window >= 2 * each:
        return
    if context.doubtful("risk", "sizing", "odds"):
        return
    context.error(
        ("risk", "sizing", "odds", "min_each"),
        f"{each} wins and {each} losses are never among {window} closed trades: the file's "
        "average_win and average_loss would size every order",
        hint=f"a window of {3 * each} trades, or min_each: {max(1, window // 3)}",
    )


def check_model_monitor(context: CheckContext) -> None:
    """The monitor of a model can act as its settings read."""
    model, monitor = context.strategy.model, context.strategy.monitoring.model
    if model is None or context.doubtful("monitoring", "model"):
        return
    path = ("monitoring", "model")
    keys = [
        name for name in ("auc_floor", "auc_warn", "auc_window") if context.written(*path, name)
    ]
    horizon = _horizon(model).bars(context.bar_ns)
    if keys and monitor.auc_window < _FEW_ROWS * horizon:
        worth = monitor.auc_window / horizon
        context.warn(
            (*path, keys[0]),
            f"an AUC of auc_window: {monitor.auc_window} rows hardly ever acts here: labels over "
            f"{horizon} bars overlap, so they are worth {worth:.3g} rows, and an AUC acts once the "
            "upper end of its 95 % interval is below the bound",
            expected=f"auc_window: {_FEW_ROWS * horizon} or more",
            hint="a longer auc_window, or a shorter label.horizon",
        )
    if context.written(*path, "auc_floor") and monitor.auc_warn < monitor.auc_floor:
        context.warn(
            (*path, "auc_floor"),
            f"auc_warn: {monitor.auc_warn:g} is below auc_floor: {monitor.auc_floor:g}, so it "
            "never warns before the floor acts",
            hint=f"write auc_warn: {min(monitor.auc_floor + 0.03, 1.0):g}",
        )
    if monitor.psi_warn > monitor.psi_retrain:
        key = "psi_warn" if context.written(*path, "psi_warn") else "psi_retrain"
        context.warn(
            (*path, key),
            f"psi_warn: {monitor.psi_warn:g} is above psi_retrain: {monitor.psi_retrain:g}, so it "
            "never warns before a retrain is asked for",
            hint=f"write psi_warn below {monitor.psi_retrain:g}",
        )


CHECKS: Final[tuple[Callable[[CheckContext], None], ...]] = (
    check_model_used,
    check_threshold,
    check_uneven_barriers,
    check_exit_after,
    check_exit_below,
    check_learns,
    check_stored,
    check_purge,
    check_schedule,
    check_kelly,
    check_model_monitor,
)
