"""A model of a run that cannot be read at a restart: the run goes on, and enters nothing."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from septet import messages as m
from septet._learn.walk_forward_models import NO_MODEL, OK
from septet._live.lost_models import LOST, changes_of
from septet._live.model_in_force import Models
from septet._live.replay import replay
from septet._live.shadow import shadow
from septet.errors import ModelError
from tests.live.test_stored_model import Learner, _log, _rows, uncompiled, world

__all__ = ["uncompiled", "world"]


def decided(folder: Path) -> list[m.Decided]:
    return [
        each for _, caused in _rows(folder)[1] for each in caused if isinstance(each, m.Decided)
    ]


@pytest.mark.parametrize("fault", ["damaged", "missing"])
@pytest.mark.parametrize("mode", ["paper", "live"])
def test_a_run_whose_model_is_lost_goes_on_without_entries_and_takes_it_up_again(
    world: Learner, mode: str, fault: str
) -> None:
    [(run, _)] = world.run(mode).ends
    folder = run.location.folder
    before = decided(folder)
    shutil.rmtree(world.folder / "models" / "mine")
    copy = next((folder / "models").iterdir())
    saved = world.folder / "saved"
    shutil.copytree(copy, saved)
    if fault == "damaged":
        (copy / "model.npz").write_bytes(b"damaged")
    else:
        shutil.rmtree(copy)

    [(again, end)] = world.run(mode, bars=8).ends
    assert (again.location.folder, end.how) == (folder, "finished")
    lost = decided(folder)[len(before) :]
    assert lost
    assert {each.rejected_by for each in lost if each.signal != "none"} <= {"no_model"}
    assert all(each.probability_up is None for each in lost)
    assert "Restore the models folder" in _log(folder, "model_lost")[-1]
    failed = [event for event, _ in _rows(folder)[1] if isinstance(event, m.ModelFailed)]
    assert [each.text.startswith(LOST) for each in failed] == [True]

    world.run(mode, bars=10)
    count = len(decided(folder))
    assert len([e for e, _ in _rows(folder)[1] if isinstance(e, m.ModelFailed)]) == 1, "said once"

    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(saved, copy)
    world.run(mode, bars=14)
    restored = decided(folder)[count:]
    assert restored
    assert all(each.probability_up is not None for each in restored)
    for prove in (replay, shadow):
        found = prove(folder)
        assert found.differences == 0, str(found.first)


def ready(number: int, ready_ns: int) -> m.ModelReady:
    return m.ModelReady(
        at_ns=1, number=number, fingerprint=f"f{number}", trained_to_ns=ready_ns - 1,
        ready_ns=ready_ns, expires_ns=1 << 60, folder=f"models/{number}", rows=1, rows_up=1,
        first_row_ns=None, reference=(),
    )  # fmt: skip


class Served:
    def predict_row(self, vector: Any) -> float:
        return 0.75


def models(*damaged: int) -> Models:
    def load(event: m.ModelReady) -> Any:
        if event.number in damaged:
            raise ModelError(f"model {event.number} is damaged")
        return Served()

    return Models(load, lambda trained_to_ns: trained_to_ns)


VECTOR = np.ones(1)


def test_a_retrained_model_that_is_lost_predicts_what_is_recorded_and_then_nothing() -> None:
    strict = models(1)
    with pytest.raises(ModelError, match="model 1 is damaged"):
        strict.take(ready(1, 20))
    kept = models(1)
    kept.tolerates = True
    kept.take(ready(0, 10))
    kept.take(ready(1, 20))
    assert kept.predict_row(15, VECTOR) == (0.75, OK), "the one before it decides until its time"
    row = m.Decided(
        time_ns=25, symbol=0, features=b"", probability_up=0.3, confidence=0.4, signal="none",
        requested=0.0, granted=0.0,
    )  # fmt: skip
    kept.record(m.DecisionTimeReached(at_ns=25, time_ns=25, present=(0,)), [row])
    assert kept.predict_row(25, VECTOR) == (0.3, OK)
    assert math.isnan(kept.predict_row(26, VECTOR)[0])
    assert kept.predict_row(26, VECTOR)[1] == NO_MODEL
    [change] = changes_of(kept, 30)
    assert isinstance(change, m.ModelFailed)
    assert (change.number, change.text) == (1, f"{LOST}model 1 is damaged")
    kept.take(change)
    assert kept.predict_row(31, VECTOR)[1] == NO_MODEL
    assert changes_of(kept, 32) == []
    kept.take(ready(2, 40))
    assert kept.predict_row(41, VECTOR) == (0.75, OK), "the next of the schedule decides"


def test_a_snapshot_keeps_that_a_model_was_lost_until_it_can_be_read() -> None:
    kept = models(0)
    kept.tolerates = True
    kept.take(ready(0, 10))
    for change in changes_of(kept, 20):
        kept.take(change)
    for sound in (False, True):
        after = models(*(() if sound else (0,)))
        after.tolerates = True
        after.restore(kept.snapshot())
        found = changes_of(after, 30)
        assert [type(each) for each in found] == ([m.ModelReady] if sound else [])
        assert after.predict_row(35, VECTOR)[1] == NO_MODEL
    after.take(found[0])
    assert after.predict_row(36, VECTOR) == (0.75, OK)
