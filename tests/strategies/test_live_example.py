"""The file that is shipped for all three modes: live on the local venue, then read again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from septet._config import load
from septet.cli import main
from tests.cli.local import OPTIONS, store_credential
from tests.cli.worlds import world

FILE = Path(__file__).resolve().parents[2] / "strategies" / "live-example.yaml"


def call(*words: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    assert isinstance(left.value.code, int)
    return left.value.code


def test_each_mode_is_the_same_strategy() -> None:
    modes = {mode: load(FILE, mode=mode).strategy for mode in ("backtest", "paper", "live")}
    first = modes["backtest"]
    for each in modes.values():
        assert each.features.keys() == first.features.keys()
        assert each.signal.config == first.signal.config
        assert each.risk.halts.keys() == first.risk.halts.keys()
    assert modes["live"].account.capital < modes["paper"].account.capital
    assert modes["live"].risk.limits.keys() - first.risk.limits.keys() == {"max_order_value"}


def test_a_drill_trades_the_bars_of_the_backtest_on_its_own_venue() -> None:
    from septet._drill.local_market import settings_for

    loaded = load(FILE)
    drilled = load(FILE, mode="live", sets=settings_for(loaded, "live", {})).strategy
    assert drilled.universe.symbols == loaded.strategy.universe.symbols
    assert drilled.account.currency == loaded.strategy.account.currency
    assert list(drilled.execution.venues) == ["drill"]
    assert "max_order_value" in drilled.risk.limits  # all else is the live section's


def test_the_commands_of_its_header_on_a_local_venue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCAL_KEY", "k")
    monkeypatch.setenv("LOCAL_SECRET", "s")
    store_credential(tmp_path / "config")
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "st"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    runs = tmp_path / "runs"
    with world(tmp_path, bar_ns=900 * 10**9, bar_wall_ns=400_000_000, history=1_200) as venue:
        sets = []
        for block in ("data.candles", "execution.venues.binance"):
            sets += ["--set", f"{block}.urls={json.dumps(venue.urls)}"]
            sets += ["--set", f"{block}.options={json.dumps(OPTIONS)}"]
        words = [FILE, "--mode", "live", "--clock", venue.admin, *sets]
        assert call("check", *words, "--world") == 0
        out = capsys.readouterr().out
        assert "may only trade" in out
        assert "the nearest loss-side stop rests at the venue" in out
        assert call("run", *words, "--yes", "--bars", 15, "--out", runs) == 0
    capsys.readouterr()
    for more in ([], ["--shadow"]):
        assert call("replay", "live-example", "--runs", runs, *more) == 0
        assert "15 decisions, 0 differences" in capsys.readouterr().out
