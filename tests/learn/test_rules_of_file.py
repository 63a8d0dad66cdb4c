"""From validated blocks to the plain rules of the learning room."""

from __future__ import annotations

from typing import Any

import pytest

from septet import _learn as learn
from septet._learn.fitting import Fitted, Window
from septet._learn.trainer import EstimatorTrainer, complete
from septet.errors import InputError
from septet_plugins.models.series import SeriesModel, series_model
from septet_plugins.models.sklearn import Sklearn, sklearn_model
from septet_plugins.models.stored import Stored, stored_model
from septet_schemas.blocks import UseBlock
from septet_schemas.monitoring import ModelMonitoring
from septet_schemas.training import (
    DirectionLabel,
    ThresholdLabel,
    Training,
    TripleBarrierLabel,
)
from tests.learn.sample import HOUR_NS


def _block(use: str, config: Any, declaration: Any, **extra: Any) -> UseBlock:
    return UseBlock(use, "models", "model", config, declaration, "septet", extra)


def test_labels_keep_their_words() -> None:
    direction = DirectionLabel.model_validate({"horizon": "12h"})
    assert learn.label_rule(direction, HOUR_NS) == learn.LabelRule("direction", 12)
    threshold = ThresholdLabel.model_validate({"above": "1%"})
    assert learn.label_rule(threshold, HOUR_NS) == learn.LabelRule("threshold", 1, threshold=0.01)
    barrier = TripleBarrierLabel.model_validate({"take_profit": "4%", "stop_loss": "2%"})
    wanted = learn.LabelRule("triple_barrier", 24, upper=0.04, lower=0.02)
    assert learn.label_rule(barrier, HOUR_NS) == wanted


def test_training_keeps_its_lengths() -> None:
    written = {"train": "10d", "step": "2d", "purge": "3 bars", "expire_after": "6d"}
    found = learn.training_rule(Training.model_validate(written), HOUR_NS)
    assert (found.train_ns, found.step_ns) == (240 * HOUR_NS, 48 * HOUR_NS)
    assert (found.purge_ns, found.purge_bars, found.ready_after_ns) == (None, 3, HOUR_NS)
    assert (found.expire_after_ns, found.min_rows, found.min_class) == (144 * HOUR_NS, 500, 50)
    assert found.cron is None
    plain = learn.training_rule(Training(), HOUR_NS, "XNYS")
    assert (plain.purge_ns, plain.purge_bars) == (None, None)
    assert (plain.ready_after_ns, plain.ready_bars) == (0, 1)
    timed = Training.model_validate({"purge": "5h", "ready_after": "2h"})
    plain = learn.training_rule(timed, HOUR_NS, "XNYS")
    assert (plain.purge_ns, plain.purge_bars) == (5 * HOUR_NS, None)
    assert (plain.ready_after_ns, plain.ready_bars) == (2 * HOUR_NS, 0)
    nothing = learn.training_rule(Training.model_validate({"purge": 0}), HOUR_NS)
    assert (nothing.purge_ns, nothing.purge_bars) == (None, 0)


def test_training_keeps_its_cron() -> None:
    found = learn.training_rule(Training.model_validate({"step": "0 0 * * 1"}), HOUR_NS)
    assert (found.step_ns, str(found.cron)) == (168 * HOUR_NS, "0 0 * * 1")


def test_monitoring_keeps_its_bounds() -> None:
    config = Sklearn(estimator="GaussianNB")
    block = _block("sklearn", config, sklearn_model, training=Training())
    assert learn.health_rule(ModelMonitoring(), block) == learn.HealthRule()


def test_models_that_nothing_trains_again_are_known() -> None:
    config = Sklearn(estimator="GaussianNB")
    stored = Training(scheme="stored", path="m")
    for block in (
        _block("sklearn", config, sklearn_model, training=stored),
        _block("stored", Stored(path="m"), stored_model, training=Training()),
        _block("series", SeriesModel(of="p"), series_model, training=Training(scheme="none")),
    ):
        assert not learn.health_rule(ModelMonitoring(), block).retrains


def test_a_recipe_gets_the_scale_and_calibration_of_the_file() -> None:
    config = Sklearn(estimator="GaussianNB")
    block = _block("sklearn", config, sklearn_model, scale="robust", calibrate="isotonic")
    found = learn.trainer_of(block)
    assert isinstance(found, EstimatorTrainer)
    assert (found.name, found.scale, found.calibrate) == ("GaussianNB", "robust", "isotonic")


class _Own:
    name = "own"

    def fit(self, window: Window) -> Fitted:
        raise NotImplementedError


def test_a_model_that_fits_itself_takes_neither() -> None:
    own = _Own()
    assert complete(own, "none", "none") is own
    with pytest.raises(InputError, match="the model own fits itself"):
        complete(own, "standard", "none")


def test_a_stored_model_is_named_in_two_ways() -> None:
    stored = _block("stored", Stored(path="models/a"), stored_model, training=Training())
    assert learn.stored_folder(stored) == "models/a"
    other = _block("odd:stored", Stored(path="models/a"), stored_model, training=Training())
    assert learn.stored_folder(other) is None, "a package's plugin of that name is another"
    with pytest.raises(InputError, match="fits nothing"):
        learn.trainer_of(stored)
    config = Sklearn(estimator="GaussianNB")
    scheme = Training.model_validate({"scheme": "stored", "path": "models/b"})
    assert learn.stored_folder(_block("sklearn", config, sklearn_model, training=scheme)) == (
        "models/b"
    )
    plain = _block("sklearn", config, sklearn_model, training=Training())
    assert learn.stored_folder(plain) is None
