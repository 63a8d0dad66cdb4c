"""Stored models: read back as they were, refused when they are not."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from septet._learn.cards import fitted_rows
from septet._learn.labels import LabelRule, make_labels
from septet._learn.stored import (
    CARD,
    MODEL,
    fingerprint,
    load_model,
    make_card,
    store_model,
)
from septet._learn.walk_forward_models import NO_MODEL, OK, Walk, stored_walk, walk_forward
from septet.errors import ModelError
from tests.learn.sample import HOUR_NS, dataset, logistic, rule, trainer, window

NAMES = ("ret", "hint", "noise")


@pytest.fixture(scope="module")
def walk() -> Walk:
    rows = dataset(900)
    return walk_forward(rows, logistic(), make_labels(rows, LabelRule()), rule(), seed=7)


@pytest.fixture
def folder(walk: Walk, tmp_path: Path) -> Path:
    last = walk.models[-1]
    assert last.model is not None
    return store_model(tmp_path / "m", last.model, last.card, configuration_sha256="abc")


def test_a_stored_model_gives_the_same_bits(walk: Walk, folder: Path) -> None:
    stored = load_model(folder, NAMES)
    rows = np.random.default_rng(1).normal(size=(50, 3))
    model = walk.models[-1].model
    assert model is not None
    assert np.array_equal(stored.model.predict(rows), model.predict(rows))
    assert fingerprint(stored.model) == walk.models[-1].fingerprint == stored.card["model_sha256"]
    assert load_model(folder / CARD).card["configuration_sha256"] == "abc"


def test_an_onnx_model_comes_back_too(tmp_path: Path) -> None:
    from sklearn.naive_bayes import GaussianNB

    given, made = window(), trainer(GaussianNB, "minmax", "sigmoid")
    fitted = made.fit(given)
    card = make_card(made, fitted, fitted_rows(given, 401 * HOUR_NS))
    stored = load_model(store_model(tmp_path, fitted.model, card))
    rows = np.random.default_rng(1).normal(size=(20, 4))
    assert np.array_equal(stored.model.predict(rows), fitted.model.predict(rows))


def test_the_card_describes_the_model(walk: Walk, folder: Path) -> None:
    card = json.loads((folder / CARD).read_text())
    last = walk.models[-1]
    assert card["features"] == list(NAMES)
    assert card["trained_to_ns"] == last.trained_to_ns
    assert card["rows"] == last.rows == card["rows_up"] + card["rows_down"]
    assert card["last_label_ns"] <= last.trained_to_ns
    assert card["last_row"].endswith("Z")
    assert card["largest_difference"] <= 1e-5
    assert {"python", "numpy", "sklearn"} <= set(card["versions"])


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (("ret", "noise", "hint"), "the order differs: expected ret, hint, noise"),
        (("ret", "hint"), "it reads noise, which the file has not"),
        ((*NAMES, "rsi"), "the file has rsi, which it does not read"),
    ],
)
def test_other_features_are_refused_by_name(
    folder: Path, names: tuple[str, ...], text: str
) -> None:
    with pytest.raises(ModelError, match=text):
        load_model(folder, names)


def test_a_changed_card_is_refused(folder: Path) -> None:
    card = json.loads((folder / CARD).read_text())
    card["last_label_ns"] = 0
    (folder / CARD).write_text(json.dumps(card))
    with pytest.raises(ModelError, match="was changed after it was written"):
        load_model(folder)


def test_a_changed_model_is_refused(folder: Path) -> None:
    with np.load(folder / MODEL) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["numbers"] = arrays["numbers"].copy()
    arrays["numbers"][0] += 1.0
    np.savez(folder / MODEL, allow_pickle=False, **arrays)
    with pytest.raises(ModelError, match="is not the model its card describes"):
        load_model(folder)


def test_a_pickle_is_never_opened(folder: Path, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (print, (str(tmp_path / "boom"),))

    (folder / MODEL).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(folder)
    with zipfile.ZipFile(folder / MODEL, "w") as archive, archive.open("plan.npy", "w") as part:
        np.lib.format.write_array(part, np.array([Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '"x"', '{"version": 1}'])
def test_a_broken_card_is_refused(folder: Path, text: str) -> None:
    (folder / CARD).write_text(text)
    with pytest.raises(ModelError, match=r"card\.json"):
        load_model(folder)


def test_nothing_there_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no stored model at") as caught:
        load_model(tmp_path / "missing")
    assert "septet train FILE" in str(caught.value)


def test_truncated_arrays_are_refused(folder: Path) -> None:
    data = (folder / MODEL).read_bytes()
    for size in (0, 10, len(data) // 2, len(data) - 1):
        (folder / MODEL).write_bytes(data[:size])
        with pytest.raises(ModelError):
            load_model(folder)


def test_it_decides_only_after_its_last_label(walk: Walk, folder: Path) -> None:
    stored = load_model(folder, NAMES)
    rows = dataset(1_200)
    judged = stored_walk(rows, stored)
    before = rows.time_ns <= stored.last_label_ns
    assert (judged.row_state[before] == NO_MODEL).all()
    assert (judged.row_state[~before] == OK).all()
    assert judged.first_decision_ns == stored.last_label_ns + HOUR_NS
    assert judged.predict_row(int(rows.time_ns[-1]), rows.x[-1]) == (judged.row_up[-1], OK)


def test_an_earlier_backtest_is_refused(folder: Path) -> None:
    stored = load_model(folder, NAMES)
    with pytest.raises(ModelError, match="has seen labels up to"):
        stored_walk(dataset(1_200), stored, start_ns=stored.last_label_ns)
    with pytest.raises(ModelError, match="would predict what it was fitted on"):
        stored_walk(dataset(600), stored)
