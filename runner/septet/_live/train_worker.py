"""A process that fits one model and ends: ``python -m septet._live.train_worker FOLDER``.

The work is read as one pickle from standard input, which only the parent process writes. When that
input ends, the parent process has ended, and this one exits.
"""

from __future__ import annotations

import json
import os
import pickle
import struct
import sys
import threading
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

from septet._data.bars import MarketData
from septet._data.day_calendars import market_day_calendar
from septet._files import replace_file
from septet._kernel.garbage_collection import collect_seldom
from septet.errors import SeptetError

__all__ = ["HEAD", "RESULT", "Work", "fit", "main"]

HEAD: Final = struct.Struct(">Q")
RESULT: Final = "result.json"
_NICE: Final = 10


@dataclass(frozen=True, slots=True)
class Work:
    """One model to fit: a strategy as it was loaded, and all bars known by its time.

    `venue_fills` is that of the running plan, so that its compiled code is used again.
    """

    tree: Any
    path: Path
    base_dir: Path
    market: MarketData
    number: int
    trained_to_ns: int
    cause: str = "schedule"
    venue_fills: bool = False


def fit(work: Work) -> Any:
    """Fit the model that the walk of a backtest on the same bars has at the same time.

    Returns
    -------
    septet._learn.WalkModel
        With a model, or with the reason why there is none.
    """
    from septet import _learn as learn
    from septet._config.load import reopen
    from septet._core.batch import Batch
    from septet._data.bars import Instrument
    from septet._shell.aligned_bars import align_bars
    from septet._shell.model_layer import dataset_of
    from septet._shell.session import Session, alignment_rules, plan_of

    loaded = reopen(work.tree, work.path, work.base_dir)
    strategy, market = loaded.strategy, work.market
    plan = plan_of(
        loaded, calendar=market.calendar, calendars=market.calendars.values(),
        venue_fills=work.venue_fills,
    )  # fmt: skip
    aligned = align_bars(plan, market, alignment_rules(strategy))
    state = plan.state(1.0, [Instrument(symbol) for symbol in market.symbols])
    batch = Batch(plan, aligned, state)
    batch.observe(0, aligned.times)
    session = Session(loaded, plan, market, aligned, 0, lambda message: None)
    dataset = dataset_of(session, batch.F)
    block, bar_ns = strategy.model, strategy.universe.bar
    assert block is not None
    labels = learn.make_labels(dataset, learn.label_rule(block.extra["label"], bar_ns))
    fitted = learn.fit_window(
        dataset, learn.trainer_of(block), labels,
        learn.training_rule(block.extra["training"], bar_ns, market_day_calendar(market)),
        seed=strategy.seed, trained_to_ns=work.trained_to_ns, number=work.number, cause=work.cause,
    )  # fmt: skip
    if fitted.model is None or fitted.train_rows is None:
        return fitted
    window = strategy.monitoring.model.psi_window
    reference = learn.reference_of(dataset.x[fitted.train_rows], dataset.feature_names, window)
    return replace(fitted, card={**fitted.card, "reference": reference})


def store(fitted: Any, folder: Path) -> dict[str, Any]:
    """Write a fitted model as a run stores it; return its record."""
    from septet import _learn as learn

    if fitted.model is None:
        return {"failed": fitted.reason}
    card = {name: each for name, each in fitted.card.items() if name != "reference"}
    for name, data in learn.pack_model(fitted.model, card).items():  # as a backtest stores it
        replace_file(folder / name, data)
    return {
        "fingerprint": fitted.fingerprint,
        "ready_ns": fitted.ready_ns,
        "expires_ns": fitted.expires_ns,
        "rows": fitted.rows,
        "rows_up": fitted.card["rows_up"],
        "first_row_ns": fitted.card["first_row_ns"],
        "reference": fitted.card.get("reference", {}),
    }


def _end_with_parent(stream: BinaryIO) -> None:
    """End when the process that started this one has ended."""
    stream.read(1)
    os._exit(3)


def main(argv: list[str], stream: BinaryIO) -> int:
    """Read the work, fit, write the model and `result.json` into the folder."""
    folder = Path(argv[0])
    os.nice(_NICE)
    (length,) = HEAD.unpack(stream.read(HEAD.size))
    data = stream.read(length)
    threading.Thread(target=_end_with_parent, args=(stream,), daemon=True).start()
    try:
        work = pickle.loads(data)  # noqa: S301
        result = store(fit(work), folder)
    except SeptetError as error:
        result = {"failed": str(error)}
    except Exception as error:  # a model's plugin may raise anything; the run must learn of it
        result = {"failed": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
    replace_file(folder / RESULT, json.dumps(result))
    return 0


if __name__ == "__main__":
    # By its own name, so that the work unpickles into the classes of this module.
    from septet._live import train_worker

    collect_seldom()
    sys.stdout.flush()
    os._exit(train_worker.main(sys.argv[1:], sys.stdin.buffer))
