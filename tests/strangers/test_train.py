"""`septet train` with a stranger's trainer: the guide's own, from its text to a stored decision."""

from __future__ import annotations

import json
import re
from pathlib import Path

import polars as pl
import pytest

from septet.cli import main
from tests.strangers.package import installed, write_package

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "plugins.md"
MANIFEST = '''\
"""The guide's model."""

from septet.hookspecs import Component


def septet_models():
    return [Component("models", "centroid", "guided.steps:Centroid", "model")]
'''
FILE = """\
version: 1
name: guided
seed: 4
plugins: [guided]
account: {{capital: 10000, currency: USD}}
universe: {{symbols: [A/USD], bar: 1h}}
data:
  candles: {{use: synthetic, bars: {bars}, seed: 3, volatility: 60%}}
features:
  ret_1: {{use: log_return}}
  ret_5: {{use: log_return, period: 5}}
model:
  use: centroid
  training: {training}
signal: {{use: confidence, threshold: 0.0001, exit: {{after: 6 bars}}}}
risk:
  sizing: {{use: fixed_fraction, fraction: 45%}}
"""


def guide_code(heading: str) -> str:
    section = GUIDE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2]
    (code, *_) = re.findall(r"```python\n(.*?)```", section.partition("\n## ")[0], re.S)
    return f'"""From the guide."""\n\n{code}'


def run(folder: Path, *words: str) -> int:
    with installed(folder, "guided"), pytest.raises(SystemExit) as left:
        main(list(words))
    code = left.value.code
    assert isinstance(code, int)
    return code


@pytest.mark.parametrize("as_json", [False, True])
def test_the_guides_trainer_is_trained_stored_and_decides(
    tmp_path: Path,
    as_json: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    source = guide_code("8. A model")
    write_package(tmp_path, "guided", {"steps.py": source, "manifest.py": MANIFEST})
    fitted = FILE.format(bars=900, training="{train: 20d, step: 10d, min_rows: 100}")
    Path("strategy.yaml").write_text(fitted, encoding="utf-8")
    words = ["--json"] if as_json else []
    assert run(tmp_path, "train", "strategy.yaml", "--out", "kept", *words) == 0
    printed = capsys.readouterr()
    assert "--unchecked" not in printed.out
    if as_json:
        card = json.loads(printed.out)["card"]
        assert (card["estimator"], card["format"]) == (
            "nearest centroid",
            "septet-weekend/centroid",
        )
    else:
        assert "nearest centroid, served by septet-weekend/centroid" in printed.out
        assert "stored in kept" in printed.out
        return
    stored = FILE.format(bars=1_500, training="{scheme: stored, path: kept}")
    Path("strategy.yaml").write_text(stored, encoding="utf-8")
    assert run(tmp_path, "run", "strategy.yaml", "--out", "out", "--no-report") == 0
    (table,) = Path("out").rglob("decisions.parquet")
    up = pl.read_parquet(table)["probability_up"].drop_nulls().drop_nans()
    assert len(up) > 400
    assert up.n_unique() > 100


@pytest.mark.parametrize("as_json", [False, True])
def test_the_card_of_an_unchecked_model_records_it(
    tmp_path: Path,
    as_json: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    source = guide_code("8. A model")
    write_package(tmp_path, "guided", {"steps.py": source, "manifest.py": MANIFEST})
    text = FILE.format(bars=900, training="{train: 20d, step: 10d, min_rows: 100}")
    Path("strategy.yaml").write_text(text, encoding="utf-8")
    words = ["--json"] if as_json else []
    assert run(tmp_path, "train", "strategy.yaml", "--out", "kept", "--unchecked", *words) == 0
    warning = "guided:centroid ran without being checked (--unchecked): it may look ahead."
    printed = capsys.readouterr().out
    (check,) = json.loads(Path("kept/card.json").read_text("utf-8"))["plugin_checks"]
    assert (check["plugin"], check["state"]) == ("guided:centroid", "unchecked")
    if as_json:
        assert json.loads(printed)["card"]["plugin_checks"] == [check]
    else:
        assert warning in printed
