"""What a model's card states is written by septet: no trainer and no forger changes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from septet._data import stamps
from septet._learn import cards
from septet._learn.cards import OWN_NAMES, iso_time
from septet._learn.fitting import Fitted, Window
from septet._learn.labels import LabelRule, make_labels
from septet._learn.stored import CARD, load_model, store_model
from septet._learn.trainer import EstimatorTrainer
from septet._learn.walk_forward_models import Walk, walk_forward
from septet.errors import ModelError, RunError
from tests.learn.sample import HOUR_NS, dataset, logistic, rule


@dataclass(frozen=True)
class Half:
    width: int
    format: str = "half"

    def predict(self, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.full(len(x), 0.5)

    def predict_row(self, vector: npt.NDArray[np.float64]) -> float:
        return 0.5

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        return {"width": np.array(self.width)}


@dataclass(frozen=True)
class Stranger:
    """A plugin's trainer that states what it likes, and may write to its window."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    writes: bool = False
    name: str = "stranger"

    def fit(self, window: Window) -> Fitted:
        if self.writes:
            window.known_ns[:] = -(10**18)
            window.time_ns[:] = -(10**18)
            window.y[:] = 1
            window.x[:] = 0.0
        return Fitted(Half(window.x.shape[1]), facts=self.facts)


def _walk(trainer: Any) -> Walk:
    rows = dataset(900)
    return walk_forward(rows, trainer, make_labels(rows, LabelRule()), rule(), seed=7)


def test_the_facts_of_a_plugin_stand_under_a_key_of_their_own() -> None:
    card = _walk(Stranger({"share": 0.5, "layers": [3, 4]})).models[-1].card
    assert card["facts"] == {"share": 0.5, "layers": [3, 4]}
    assert "share" not in card
    assert "facts" not in _walk(Stranger()).models[-1].card


def test_facts_of_the_built_in_trainer_are_at_the_top_level() -> None:
    card = _walk(logistic()).models[-1].card
    assert card["largest_difference"] <= 1e-5
    assert "facts" not in card
    assert OWN_NAMES.issuperset(card)


class Derived(EstimatorTrainer):
    """A plugin's trainer that passes itself off as septet's."""

    def fit(self, window: Window) -> Fitted:
        return Fitted(Half(window.x.shape[1]), facts={"last_label_ns": 0})


@pytest.mark.parametrize("name", sorted(OWN_NAMES))
def test_no_fact_has_the_name_of_one_of_septets(name: str) -> None:
    with pytest.raises(RunError, match=rf"itself: {name} \(fitted at .*test_cards\.py:\d+\)"):
        _walk(Stranger({name: 1, "mine": 2}))


def test_a_trainer_derived_from_septets_is_a_plugins() -> None:
    derived = Derived(logistic().recipe)
    with pytest.raises(RunError, match="itself: last_label_ns"):
        _walk(derived)


@pytest.mark.parametrize(
    "facts", [{"a": object()}, {"a": {1, 2}}, {("a",): 1}, {"a": "\ud800"}, [1], 7, None]
)
def test_facts_that_are_no_json_are_refused(facts: Any) -> None:
    with pytest.raises(RunError, match=r"cannot stand on its card: .*test_cards\.py:\d+\)"):
        _walk(Stranger(facts))


def test_facts_are_bounded() -> None:
    with pytest.raises(RunError, match="of its card, more than 1,048,576"):
        _walk(Stranger({"a": "x" * 2**20}))


def test_a_trainer_that_writes_to_its_window_changes_no_card() -> None:
    honest, other = _walk(Stranger()).models[-1].card, _walk(Stranger(writes=True)).models[-1].card
    assert other == honest
    assert other["last_label_ns"] > 0


# ---------------------------------------------------------------------------- forged cards


@pytest.fixture(scope="module")
def card() -> dict[str, Any]:
    return dict(_walk(logistic()).models[-1].card)


@pytest.fixture(scope="module")
def model() -> Any:
    return _walk(logistic()).models[-1].model


def _timed(name: str, time_ns: int) -> dict[str, Any]:
    return {f"{name}_ns": time_ns, name: iso_time(time_ns)}


LATE_NS = 500_000 * HOUR_NS


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"last_label_ns": -(10**18)},
            "last_label is .*, and last_label_ns is -1000000000000000000",
        ),
        ({"last_label": "2020-01-01T00:00:00Z"}, "last_label is 2020-01-01T00:00:00Z, and"),
        ({"trained_to_ns": 0}, "trained_to is "),
        ({"last_row_ns": 0}, "last_row is "),
        ({"first_row_ns": 0}, "first_row is "),
        (_timed("last_label", 0), r"last_row \(.*\) is after last_label \(1970-01-01T00:00:00Z\)"),
        (_timed("last_row", 0), r"first_row \(.*\) is after last_row \(1970-01-01T00:00:00Z\)"),
        (_timed("last_label", LATE_NS), r"last_label \(.*\) is after trained_to"),
        ({"last_label_ns": 2**62 + 1}, "outside of the years 1850 to 2116"),
        ({"first_row_ns": -(2**62)}, "outside of the years 1850 to 2116"),
        ({"rows": 10**6}, "the numbers of its rows: 1000000, of them"),
        ({"rows_up": -1}, "wrong kind"),
        ({"trained_to_ns": 2**70}, "outside of the years 1850 to 2116"),
        ({"trained_to_ns": "2020"}, "wrong kind"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused(
    card: dict[str, Any], model: Any, tmp_path: Path, changes: dict[str, Any], text: str
) -> None:
    load_model(store_model(tmp_path / "whole", model, card))
    with pytest.raises(ModelError, match=text) as caught:
        load_model(store_model(tmp_path / "forged", model, {**card, **changes}))
    assert "septet train FILE" in str(caught.value)


@pytest.mark.parametrize("name", ["last_row_ns", "last_row", "trained_to", "rows_down", "rows"])
def test_a_card_without_what_it_is_compared_with_is_refused(
    card: dict[str, Any], model: Any, tmp_path: Path, name: str
) -> None:
    home = store_model(tmp_path, model, {key: card[key] for key in card if key != name})
    assert name not in json.loads((home / CARD).read_text())
    with pytest.raises(ModelError, match=name):
        load_model(home)


def test_the_years_are_those_of_data() -> None:
    assert cards._FIRST_NS == stamps._FIRST_NS
