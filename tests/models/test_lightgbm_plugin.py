"""LightGBM: the same arrays as every other tree, exact to its own answer."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from septet._learn.trainer import complete
from septet_plugins.models.lightgbm import LightGbm, Parameters, lightgbm_model
from tests.learn.sample import window
from tests.scale import examples


def _made(**params: Any) -> Any:
    return lightgbm_model(LightGbm(params=Parameters(n_estimators=12, **params)))


@pytest.mark.parametrize("kind", ["gbdt", "dart", "rf"])
@given(seed=st.integers(0, 1_000), leaves=st.integers(2, 40), weight=st.booleans())
@settings(max_examples=examples(5))
def test_it_is_exact_and_one_row_is_the_batch(
    kind: str, seed: int, leaves: int, weight: bool
) -> None:
    recipe = _made(
        boosting_type=kind, num_leaves=leaves, subsample=0.7, subsample_freq=1,
        class_weight="balanced" if weight else None,
    )  # fmt: skip
    rows = window(300, seed=seed)
    served = complete(recipe, "none", "none").fit(rows).model
    reference = recipe.estimator(seed, 300).fit(rows.x, rows.y)
    fresh = np.random.default_rng(seed).normal(size=(100, 4))
    batch = served.predict(fresh)
    assert served.format == "flat"
    assert np.abs(batch - reference.predict_proba(fresh)[:, 1]).max() <= 1e-15
    assert [served.predict_row(row) for row in fresh] == batch.tolist()


def test_calibration_reads_what_scikit_learn_reads() -> None:
    fitted = complete(_made(), "standard", "sigmoid").fit(window(400))
    assert fitted.model.format == "flat"
    assert fitted.facts["largest_difference"] <= 2e-15
    assert fitted.facts["versions"]["lightgbm"]
    assert fitted.importance is not None
    assert fitted.importance.sum() == pytest.approx(1.0)


def test_unknown_parameters_are_refused() -> None:
    with pytest.raises(ValidationError, match="num_leafs"):
        LightGbm.model_validate({"params": {"num_leafs": 3}})
    with pytest.raises(ValidationError, match="draws rows for every tree"):
        LightGbm.model_validate({"params": {"boosting_type": "rf"}})


def test_without_the_extra_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValidationError) as caught:
        LightGbm()
    error = caught.value.errors()[0]
    assert error["msg"] == "lightgbm is not installed"
    assert "pip install 'septet[lightgbm]'" in error["ctx"]["expected"]
