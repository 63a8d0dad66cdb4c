"""A gap between runs, and a model that was trained, as values of Python."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import septet
from tests.cli.conftest import Command
from tests.live.diffs import Lives, backtested, lived, walk
from tests.models.test_train_command import FILE, SMALL
from tests.python.samples import written

BARS = walk()


def test_a_gap_is_explained_whichever_run_asks(tmp_path: Path, septet_command: Command) -> None:
    stored = backtested(tmp_path, BARS)
    file = tmp_path / "pair.yaml"
    live_folder = lived(
        file, tmp_path / "runs" / "pair" / "live", BARS, Lives(missed=frozenset({50}))
    )
    live, past = septet.open_run(live_folder), septet.open_run(stored.folder)
    in_memory = septet.run(septet.load(file))
    printed = json.loads(
        septet_command("runs", "diff", live_folder, stored.folder, "--base", tmp_path, "--json").out
    )
    for gap in (live.diff(in_memory), in_memory.diff(live)):
        assert gap.explained
        assert {**gap.document(), "backtest": ""} == {**printed, "backtest": ""}
        assert gap.backtest == in_memory.id
        assert abs(sum(gap.parts.values()) + gap.remainder - printed["gap"]) < 1e-9
        assert gap._repr_html_()
    assert live.strategy.name == past.strategy.name


def test_a_model_is_trained_and_stored(tmp_path: Path, septet_command: Command) -> None:
    text = FILE.format(
        bars=900, model=SMALL["sklearn"], training="{train: 10d, step: 10d, min_rows: 100}"
    )
    file = tmp_path / "model.yaml"
    file.write_text(text, encoding="utf-8")
    strategy = septet.load(file)
    reported: list[str] = []
    model = septet.train(
        strategy, to=tmp_path / "here",
        progress=lambda stage, done, total, text: reported.append(stage),
    )  # fmt: skip
    assert model.folder == tmp_path / "here"
    assert "training" in reported
    output = septet_command("train", file, "--out", tmp_path / "there", "--json")
    printed = json.loads(output.out)["card"]
    moments = {"created", "trained_at", "seconds"}
    assert {k: v for k, v in model.card.items() if k not in moments} == {
        k: v for k, v in printed.items() if k not in moments
    }
    rules = septet.load(written(tmp_path))
    with pytest.raises(septet.InputError, match="model"):
        septet.train(rules)
