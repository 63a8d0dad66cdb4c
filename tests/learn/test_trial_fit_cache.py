"""A trial fit is made once for its settings and its libraries, and only a success is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from septet import _learn as learn
from septet._learn import estimator_trial, trial_fit_cache
from septet._learn.estimator_trial import Refusal
from septet.errors import InputError
from septet_plugins.models.sklearn import Sklearn, sklearn_model
from septet_schemas.blocks import UseBlock

NAMES = ("one", "two")
REFUSED = Refusal(InputError("no"), is_certain=True)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEPTET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Refusal | None]:
    """Answer of each trial, in turn; a test reads from it how many were made."""
    left: list[Refusal | None] = []
    monkeypatch.setattr(estimator_trial, "trial_fit", lambda *given: left.pop(0))
    return left


def block(distribution: str = "septet", estimator: str = "GaussianNB", **extra: Any) -> UseBlock:
    config = Sklearn(estimator=estimator)
    return UseBlock("sklearn", "models", "model", config, sklearn_model, distribution, extra)


@pytest.mark.usefixtures("cache")
def test_a_success_is_kept(answers: list[Refusal | None]) -> None:
    answers[:] = [None, REFUSED]
    assert learn.trial_fit_once(block(), NAMES, 700) is None
    assert learn.trial_fit_once(block(), NAMES, 700) is None
    assert answers == [REFUSED]


@pytest.mark.usefixtures("cache")
def test_a_refusal_is_tried_again(answers: list[Refusal | None]) -> None:
    answers[:] = [REFUSED, REFUSED, None]
    assert learn.trial_fit_once(block(), NAMES, 700) is REFUSED
    assert learn.trial_fit_once(block(), NAMES, 700) is REFUSED
    assert learn.trial_fit_once(block(), NAMES, 700) is None
    assert answers == []


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("changed", "names", "rows"),
    [
        (block(estimator="BernoulliNB"), NAMES, 700),
        (block(scale="standard"), NAMES, 700),
        (block(calibrate="sigmoid"), NAMES, 700),
        (block(), ("one", "other"), 700),
        (block(), NAMES, 300),
    ],
)
def test_other_settings_are_tried(
    answers: list[Refusal | None], changed: UseBlock, names: tuple[str, ...], rows: int
) -> None:
    answers[:] = [None, REFUSED]
    assert learn.trial_fit_once(block(), NAMES, 700) is None
    assert learn.trial_fit_once(changed, names, rows) is REFUSED


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("what", ["installed_version", "package_digest"])
def test_another_library_or_source_is_tried(
    answers: list[Refusal | None], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    answers[:] = [None, REFUSED]
    assert learn.trial_fit_once(block(), NAMES, 700) is None
    monkeypatch.setattr(trial_fit_cache, what, lambda name: "another")
    assert learn.trial_fit_once(block(), NAMES, 700) is REFUSED


@pytest.mark.usefixtures("cache")
def test_what_another_package_trains_is_tried_every_time(answers: list[Refusal | None]) -> None:
    answers[:] = [None, None]
    for _ in range(2):
        assert learn.trial_fit_once(block("theirs"), NAMES, 700) is None
    assert answers == []


def test_a_folder_that_others_may_write_is_not_believed(
    answers: list[Refusal | None], cache: Path
) -> None:
    answers[:] = [None, REFUSED]
    assert learn.trial_fit_once(block(), NAMES, 700) is None
    cache.chmod(0o777)
    assert learn.trial_fit_once(block(), NAMES, 700) is REFUSED
