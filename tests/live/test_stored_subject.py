"""A stored model decides only for the features, bar and label that it was fitted for."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from septet import _learn as learn
from septet._config import load
from septet._live.stored_model import with_label_of_run
from septet._shell.backtest import backtest
from septet._shell.model_subject import label_facts
from septet._shell.session import open_session, plan_of, warmup_ns_of
from septet._shell.training_checks import windows_of
from septet.cli import cli
from septet.errors import ConfigError, ModelError
from tests.live.test_stored_model import SMALL, Learner, _stored_text, _train, uncompiled, world

__all__ = ["uncompiled", "world"]

FEATURES = SMALL[SMALL.index("features:") : SMALL.index("model:")]


def _file(folder: Path, text: str = SMALL, *, by_name: bool = True) -> Path:
    path = folder / "stored.yaml"
    path.write_text(_stored_text(text, by_name=by_name), encoding="utf-8")
    return path


def _checked(path: Path, *sets: str) -> str:
    words = [word for each in sets for word in ("--set", each)]
    found = CliRunner().invoke(cli, ["check", str(path), *words])
    return f"{found.output}{found.exception or ''}"


@pytest.mark.parametrize(
    ("sets", "place", "expected"),
    [
        (["features.level.period=7"], "features.level", "period of the feature level was"),
        (["features.ret_1={use: sma, period: 3}"], "features.ret_1", "use of the feature ret_1"),
        (["features.ret_1={use: log_return, of: open}"], "features.ret_1", "was close when"),
        (["model.label={use: direction, horizon: 9 bars}"], "model.label", "horizon: 9 bars"),
        (["features.level.bar=4h"], "features.level", "bar of the feature level was 1h"),
    ],
)  # fmt: skip
def test_another_subject_is_refused_with_its_place(
    tmp_path: Path, sets: list[str], place: str, expected: str
) -> None:
    """`check` and the run refuse it alike, with what the card states and what the file states."""
    _train(tmp_path, SMALL)
    path = _file(tmp_path)
    reported = _checked(path, *sets)
    assert place in reported, reported
    assert expected in reported
    assert "when it was trained, and the file has" in reported
    with pytest.raises(ModelError, match="does not fit the file"):
        backtest(load(path, sets=sets))


def test_the_label_and_its_horizon_are_the_models(tmp_path: Path) -> None:
    """A file that names no label has the card's: its exit waits that long, and nothing trains."""
    _train(tmp_path, SMALL)
    loaded: Any = load(_file(tmp_path))
    trained: Any = load(tmp_path / "train.yaml")
    label = trained.strategy.model.extra["label"]
    assert label.horizon.bars(loaded.strategy.universe.bar) > 1
    mine: Any = loaded.strategy.model.extra["label"]
    bar_ns = loaded.strategy.universe.bar
    assert label_facts(mine, bar_ns) == label_facts(label, bar_ns)
    terms = plan_of(loaded).assembly.terms
    assert terms.horizon_bars == label.horizon.bars(bar_ns)
    assert loaded.strategy.model.extra["training"].scheme == "stored"
    assert loaded.strategy.model.extra["training"].lead_ns == 0
    assert windows_of(open_session(loaded)) is None
    assert str(loaded.origins["model.label.horizon"]).startswith("from model.path")
    reported = _checked(_file(tmp_path), "universe.start=2020-01-25 03:00")
    assert "training window" not in reported
    assert "ok:" in reported, reported


def test_by_either_name_the_same_history_is_read(tmp_path: Path) -> None:
    _train(tmp_path, SMALL)
    spans = {
        warmup_ns_of(load(_file(tmp_path, by_name=by_name)).strategy, 10)
        for by_name in (True, False)
    }
    assert len(spans) == 1


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        (["model.training.scheme=walk_forward"], "the run trains none"),
        (["model.training.path=elsewhere", "model.training.scheme=stored"], "two folders"),
    ],
)
def test_a_stored_model_that_is_trained_is_refused(
    tmp_path: Path, sets: list[str], expected: str
) -> None:
    _train(tmp_path, SMALL)
    with pytest.raises(ConfigError, match=expected):
        load(_file(tmp_path), sets=sets)


def test_a_card_without_a_subject_is_refused_with_a_message(tmp_path: Path) -> None:
    """Those of older versions hold names only."""
    home = _train(tmp_path, SMALL)
    stored = learn.load_model(home)
    card = {name: each for name, each in stored.card.items() if name != "subject"}
    learn.store_model(home, stored.model, card)
    reported = _checked(_file(tmp_path), "model.label={use: direction, horizon: 4 bars}")
    assert "does not state what its features are, only their names" in reported
    assert "septet train FILE" in reported


@pytest.mark.parametrize(
    "wrong",
    [
        {"bar": 3}, {"label": "x"}, {"steps": {}}, {"features": {"ret_1": "@nowhere:0"}},
        {"features": []}, {"label": {"use": {"a": 1}}},
    ],
)  # fmt: skip
def test_a_planted_subject_ends_with_a_message(tmp_path: Path, wrong: dict[str, Any]) -> None:
    home = _train(tmp_path, SMALL)
    stored = learn.load_model(home)
    subject = {**stored.card["subject"], **wrong}
    learn.store_model(home, stored.model, {**stored.card, "subject": subject})
    with pytest.raises(ModelError, match="stored at"):
        backtest(load(_file(tmp_path)))


def test_an_unseen_symbol_and_other_code_of_septet_are_reported(tmp_path: Path) -> None:
    """Both may be meant: `check` warns, the run reports it and notes it beside its result."""
    home = _train(tmp_path, SMALL)
    stored = learn.load_model(home)
    subject = stored.card["subject"]
    steps = {name: {**each, "code": "septet 0"} for name, each in subject["steps"].items()}
    changed = {**subject, "symbols": ["A/USD"], "steps": steps}
    learn.store_model(home, stored.model, {**stored.card, "subject": changed})
    reported = _checked(_file(tmp_path))
    assert "was fitted on A/USD and has seen nothing of B/USD" in reported
    assert "its values may differ" in reported
    assert "ok:" in reported
    logged: list[str] = []
    result: Any = backtest(load(_file(tmp_path)), log=logged.append)
    for where in (logged, result.notes):
        assert any("has seen nothing of B/USD" in each for each in where)
    steps = {name: {**each, "code": "package 0"} for name, each in subject["steps"].items()}
    learn.store_model(home, stored.model, {**stored.card, "subject": {**subject, "steps": steps}})
    with pytest.raises(ModelError, match="the code of septet:"):
        backtest(load(_file(tmp_path)))


def test_renamed_steps_below_the_inputs_are_the_same_model(tmp_path: Path) -> None:
    """What counts is what computes an input, not what its parts are called."""
    below = FEATURES + "  base: {use: log_return}\n  smooth: {use: sma, of: base, period: 5}\n"
    text = SMALL.replace(FEATURES, below)
    assert text != SMALL
    renamed = text.replace("  base:", "  other:").replace("of: base", "of: other")
    chosen = "model.inputs=[level, ret_1, smooth]"
    _train(tmp_path, text.replace("model:\n", "model:\n  inputs: [level, ret_1, smooth]\n"))
    assert "ok:" in _checked(_file(tmp_path, renamed), chosen)
    other = renamed.replace("other: {use: log_return}", "other: {use: sma, period: 2}")
    reported = _checked(_file(tmp_path, other), chosen)
    assert "use of the feature other was" in reported


def test_a_model_card_of_a_run_has_the_subject_too(tmp_path: Path) -> None:
    """A model that a walk forward left in the run's folder is as good as one of `septet train`."""
    path = tmp_path / "walk.yaml"
    path.write_text(SMALL, encoding="utf-8")
    result: Any = backtest(load(path))
    cards = [each for name, each in result.model_files.items() if name.endswith("card.json")]
    assert cards
    assert all(b'"subject"' in each for each in cards)
    assert all("subject" not in each for each in result.models)


def test_a_run_that_goes_on_keeps_its_label_without_the_source(world: Learner) -> None:
    """The label comes from the card; the folder may be gone when a run is started again."""
    [(run, end)] = world.run("paper").ends
    assert end.how == "finished", end.text
    before: Any = run.loaded.strategy.model.extra["label"]
    shutil.rmtree(world.folder / "models" / "mine")
    bare: Any = world.load("drifting", mode="paper")
    assert bare.strategy.model.extra["label"] != before
    assert with_label_of_run(bare, run.location).strategy.model.extra["label"] != before  # fresh
    [(again, end)] = world.run("paper", bars=6).ends
    assert (again.location.folder, end.how) == (run.location.folder, "finished"), end.text
    assert again.loaded.strategy.model.extra["label"] == before
