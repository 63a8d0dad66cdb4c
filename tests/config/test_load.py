"""What a loaded file is: typed, with origins, with plugins in their blocks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from septet._cli.render import render_table
from septet._config import load
from septet._config.explain import explained
from septet._config.find_plugins import check_requirement
from septet.errors import ConfigError, InputError
from septet_schemas.strategy import UseBlock
from tests.config.plugins import fixed_host

HERE = Path(__file__).parent
HOST = fixed_host()


def test_blocks_carry_plugin_config_and_generic_keys() -> None:
    strategy = load(HERE / "valid" / "full.yaml", host=HOST).strategy
    halt = strategy.risk.halts["daily_loss"]
    assert isinstance(halt, UseBlock)
    assert (halt.use, halt.layer, halt.kind, halt.distribution) == (
        "daily_loss", "risk", "halt", "septet",
    )  # fmt: skip
    assert halt.extra == {"then": "block_entries", "resume": "next_day"}
    assert getattr(halt.config, "above") == 0.04  # noqa: B009 - the field is the plugin's
    assert strategy.data.series["mood"].extra["known_after"] == 86_400 * 10**9
    assert strategy.signal.extra["regime"].extra["trade_in"] == ("low", "mid")
    assert strategy.model is not None
    assert strategy.model.extra["label"].horizon.bar_count == 1


def test_own_bar_of_a_feature() -> None:
    strategy = load(HERE / "valid" / "rules-on-perpetual.yaml", host=HOST).strategy
    assert strategy.features["slow"].bar_ns == 4 * 3_600 * 10**9
    assert strategy.features["mean"].bar_ns is None


def test_halt_resume_as_a_duration_is_nanoseconds() -> None:
    strategy = load(HERE / "valid" / "rules-on-perpetual.yaml", host=HOST).strategy
    assert strategy.risk.halts["daily_loss"].extra["resume"] == 12 * 3_600 * 10**9
    assert strategy.risk.halts["drawdown"].extra == {"then": "flatten", "resume": "manual"}


def test_limits_that_the_file_does_not_name_stand_at_their_defaults() -> None:
    strategy = load(HERE / "valid" / "smallest.yaml", host=HOST).strategy
    found = {name: getattr(block.config, "max") for name, block in strategy.risk.limits.items()}  # noqa: B009
    assert found == {
        "position": 1.0, "gross_exposure": 1.0, "orders_per_minute": 60, "price_collar": 0.05,
    }  # fmt: skip


def test_end_as_a_date_includes_that_day() -> None:
    universe = load(HERE / "valid" / "full.yaml", host=HOST).strategy.universe
    assert universe.start == 1_609_459_200 * 10**9
    assert universe.end == 1_704_067_200 * 10**9


def test_secrets_stay_references() -> None:
    run = load(HERE / "valid" / "full.yaml", host=HOST)
    venue = run.resolved["execution"]["venues"]["binance"]
    assert venue["key"] == "env:BINANCE_KEY"
    assert venue["secret"] == "file:/run/secrets/binance"


def test_resolved_can_be_loaded_again(tmp_path: Path) -> None:
    import yaml

    first = load(HERE / "valid" / "full.yaml", host=HOST)
    path = tmp_path / "again.yaml"
    path.write_text(yaml.safe_dump(dict(first.resolved), sort_keys=False), encoding="utf-8")
    assert load(path, host=HOST).resolved == first.resolved


def test_resolved_names_which_regimes_are_traded() -> None:
    """The key is the block's and the plugin's; were it lost, a replay would differ."""
    demo = Path(__file__).parents[2] / "strategies" / "demo.yaml"
    run = load(demo, sets=["signal.regime.trade_in=[high]"])
    assert run.strategy.signal.extra["regime"].extra["trade_in"] == ("high",)
    assert run.resolved["signal"]["regime"]["trade_in"] == ["high"]


def test_explain_golden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every value of the full file and where it came from; SEPTET_REGENERATE=1 writes it anew."""
    monkeypatch.chdir(HERE / "valid")
    run = load("full.yaml", host=HOST, mode="live", sets=["risk.sizing.fraction=20%"])
    entries = explained(run.resolved, run.origins, None, host=HOST)
    rows = [{"key": e.key, "value": e.shown, "origin": str(e.origin)} for e in entries]
    text = render_table(rows, ("key", "value", "origin")) + "\n"
    golden = HERE / "golden" / "explain.txt"
    if os.environ.get("SEPTET_REGENERATE") == "1":
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_every_leaf_has_an_origin() -> None:
    run = load(HERE / "valid" / "full.yaml", host=HOST)
    entries = explained(run.resolved, run.origins, None, host=HOST)
    assert {entry.key for entry in entries} == set(run.origins)


def test_explain_one_key_and_what_is_below_it() -> None:
    run = load(HERE / "valid" / "full.yaml", host=HOST)
    keys = [e.key for e in explained(run.resolved, run.origins, "risk.sizing.odds", host=HOST)]
    assert "risk.sizing.odds.window" in keys
    assert all(key.startswith("risk.sizing.odds") for key in keys)
    with pytest.raises(InputError, match=r"risk\.sizing"):
        explained(run.resolved, run.origins, "risk.sizng", host=HOST)


def test_warnings_of_the_full_file() -> None:
    keys = [problem.key for problem in load(HERE / "valid" / "full.yaml", host=HOST).warnings]
    assert keys == ["signal.exit.after", "risk.sizing.max", "risk.limits.gross_exposure"]


def test_errors_come_with_warnings_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = (HERE / "valid" / "full.yaml").read_text(encoding="utf-8")
    path = tmp_path / "x.yaml"
    path.write_text(text.replace("period: 14", "period: -1"), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path, host=HOST)
    lines = [problem.line for problem in caught.value.problems]
    assert lines == sorted(lines)
    assert {problem.severity for problem in caught.value.problems} == {"error", "warning"}


@pytest.mark.parametrize(
    ("text", "word"),
    [("septet", ""), ("septet >=0.0.1, <100", ""), ("septet>=99", "is installed"),
     ("nosuch-thing", "not installed"), (">=1.0", "not a package requirement"),
     (7, "not a package requirement"), ("septet ==1.x.y", "is installed")],
)  # fmt: skip
def test_requirement(text: object, word: str) -> None:
    message, _, _ = check_requirement(text, HOST)
    assert word in message
    assert bool(message) == bool(word)
