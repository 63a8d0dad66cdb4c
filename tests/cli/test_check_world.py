"""`septet check FILE --world` against the local venue: everything that is wrong, at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from septet._config import load
from septet._drill.venue import Fault
from septet._host.venues import Market, VenueFacts
from septet._live.clock import WallClock
from septet._live.world_check import Row, _Looking
from tests.cli.conftest import Command
from tests.cli.local import OPTIONS, STRATEGY, store_credential
from tests.cli.worlds import world


@dataclass(frozen=True)
class Asked:
    """A venue that listens, and a file that names it."""

    file: Path
    admin: str


@contextmanager
def venue(folder: Path, **changes: Any) -> Iterator[Asked]:
    with world(folder, **changes) as made:
        yield Asked(written(folder, made.urls), made.admin)


def written(folder: Path, urls: Any) -> Path:
    file = folder / "asked.yaml"
    text = STRATEGY.format(
        name="asked", capital=5_000.0, urls=json.dumps(urls), options=json.dumps(OPTIONS)
    )
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    with venue(tmp_path_factory.mktemp("usual")) as found:
        yield found


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOCAL_KEY", "k")
    monkeypatch.setenv("LOCAL_SECRET", "s")
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "st"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    store_credential(tmp_path / "config")


@pytest.fixture
def ask(septet: Command) -> Callable[..., tuple[int, dict[str, Any]]]:
    def asking(where: Asked, *words: str, mode: str = "live") -> tuple[int, dict[str, Any]]:
        output = septet(
            "check", where.file, "--world", "--clock", where.admin, "--mode", mode, "--json",
            *words,
        )  # fmt: skip
        return output.code, json.loads(output.out)

    return asking


Ask = Callable[..., tuple[int, dict[str, Any]]]


def rows_of(document: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {each["what"]: (each["verdict"], each["found"]) for each in document["world"]}


def keys_of(document: dict[str, Any], severity: str) -> set[str]:
    return {each["key"] for each in document["problems"] if each["severity"] == severity}


def test_a_sound_file_on_a_sound_account(usual: Asked, septet: Command) -> None:
    output = septet("check", usual.file, "--world", "--clock", usual.admin, "--mode", "live")
    assert (output.code, output.err) == (0, "")
    lines = output.out.splitlines()
    assert lines[0].split() == ["what", "verdict", "found"]
    assert lines[-1].startswith("ok: ")
    for words in (
        "streamed by binance", "may only trade", "10000.00 USDT free, capital 5000.00",
        "lot 1e-05, tick 0.01, from 5 USDT", "at most 2500.00 an entry",
    ):  # fmt: skip
        assert words in output.out, words


def test_everything_that_is_wrong_is_reported_at_once_and_with_its_place(
    tmp_path: Path, ask: Ask
) -> None:
    account = {"USDT": "100", "BTC": "1"}
    with venue(tmp_path, can_withdraw=True, balances=account, history=3) as where:
        code, found = ask(where, "--set", "risk.sizing.fraction=0.01%")
    assert (code, found["ok"]) == (2, False)
    assert keys_of(found, "error") == {"execution.venues.binance.key", "risk.sizing"}
    assert keys_of(found, "warning") >= {"account.capital", "features", "risk"}
    rows = rows_of(found)
    assert rows["key"] == ("error", "it may withdraw, and a run refuses it")
    assert "features need" in rows["history BTC/USDT"][1]
    assert "takes none below 5.00" in rows["size BTC/USDT"][1]
    lines = where.file.read_text("utf-8").splitlines()
    key = next(each for each in found["problems"] if each["key"].endswith("binance.key"))
    assert "key: env:LOCAL_KEY" in lines[key["line"] - 1][key["column"] - 1 :]


def test_clocks_that_are_apart_hide_no_rights(tmp_path: Path, ask: Ask) -> None:
    ahead = Fault(code="E4", duration_ms=60_000, parameters={"skew_ms": 20_000})
    with venue(tmp_path, can_withdraw=True, faults=[ahead]) as where:
        code, found = ask(where)
    assert code == 2
    assert keys_of(found, "error") == {
        "execution.venues.binance", "execution.venues.binance.key"
    }  # fmt: skip
    assert rows_of(found)["clock"][1].endswith("ms from the venue's, 500 ms allowed")
    assert rows_of(found)["key"][0] == "error"


def test_a_symbol_that_is_not_listed_does_not_hide_the_others(usual: Asked, ask: Ask) -> None:
    code, found = ask(usual, "--set", "universe.symbols=[DOGE/USDT, BTC/USDT]")
    assert code == 2
    assert keys_of(found, "error") == {"universe.symbols.0"}
    assert rows_of(found)["BTC/USDT"][0] == "ok"


def test_a_bar_that_the_exchange_does_not_have(usual: Asked, ask: Ask) -> None:
    code, found = ask(usual, "--set", "universe.bar=7m", mode="paper")
    assert code == 2
    assert keys_of(found, "error") == {"universe.bar"}
    assert "has no bars of 7m" in rows_of(found)["the feed"][1]


def test_paper_needs_no_key_and_states_where_the_file_and_the_venue_differ(
    usual: Asked, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOCAL_KEY")
    terms = "{BTC/USDT: {tick: 0.01, lot: 0.001, min_notional: 5}}"
    code, found = ask(usual, "--set", f"execution.instruments={terms}", mode="paper")
    assert code == 0
    assert keys_of(found, "warning") == {"execution.instruments.BTC/USDT.lot"}
    assert "account" not in rows_of(found)


def test_stops_stand_at_the_venue_where_it_takes_them(usual: Asked, ask: Ask) -> None:
    _, found = ask(usual, "--set", "risk.stops={stop_loss: 2%}")
    assert "rests at the venue" in rows_of(found)["stops"][1]
    code, found = ask(usual, "--set", "risk.stops={stop_loss: 2%}", mode="paper")
    assert (code, rows_of(found)["stops"]) == (0, ("note", "held by this process"))


def test_a_venue_that_does_not_answer_is_an_error(tmp_path: Path, septet: Command) -> None:
    gone = "http://127.0.0.1:9/api/v3"
    file = written(tmp_path, {"api": {"public": gone, "private": gone}})
    output = septet(
        "check", file, "--world", "--mode", "live", "--set", "data.candles.retries=0", "--json"
    )
    assert output.code == 2
    found = rows_of(json.loads(output.out))
    assert found["the feed"][0] == found["the venue"][0] == "error"
    assert "cannot be reached" in found["the feed"][1]


def test_a_backtest_has_no_world(usual: Asked, septet: Command) -> None:
    output = septet("check", usual.file, "--world", "--mode", "backtest")
    assert output.code == 2
    assert "add --mode paper or --mode live" in output.err


def test_a_source_of_history_cannot_be_listened_to(usual: Asked, septet: Command) -> None:
    output = septet(
        "check", usual.file, "--world", "--mode", "paper",
        "--set", "data.candles={use: synthetic, bars: 200, seed: 4}",
    )  # fmt: skip
    assert output.code == 2
    assert "does not stream" in output.err


# ---------------------------------------------------------------- what a venue reports, by hand


def facts(*kinds: str) -> VenueFacts:
    return VenueFacts(
        venue="binance", exchange="binance", account="a", markets={},
        order_types=frozenset(kinds), can_withdraw=None, is_test=False,
        answers_final_after_ns=65 * 10**9, streams_orders=False, amends=False, notes=("a note",),
    )  # fmt: skip


def looking(tmp_path: Path, *sets: str) -> _Looking:
    return _Looking(load(written(tmp_path, {}), mode="live", sets=sets), WallClock())


def test_orders_that_a_venue_does_not_take(tmp_path: Path) -> None:
    made = looking(tmp_path, "execution.order={use: stop, offset: 1%}", "risk.stops.stop_loss=2%")
    made._orders(facts("market", "limit"))
    verdicts = [(each.what, each.verdict) for each in made.rows]
    assert verdicts == [
        ("orders", "ok"), ("changes", "ok"), ("orders", "error"), ("stops", "warning"),
        ("venue", "note"),
    ]  # fmt: skip
    assert made.rows[2].found == "binance takes no stop orders here"
    assert made.rows[3].found == "held by this process: such stops die with it"
    assert [each.key for each in made.problems] == ["execution.order", "risk.stops"]


def test_takes_and_adds_at_levels_are_watched_by_the_process(tmp_path: Path) -> None:
    steps = "{take: [{at: 4%, size: 50%}], add: [{at: [-2%], size: 50%}]}"
    made = looking(tmp_path, f"risk.position={steps}")
    made._stops(held=True)
    assert [(each.what, each.verdict) for each in made.rows][-1] == ("levels", "note")
    assert made.rows[-1].found.startswith("takes and adds at levels are watched by this process")
    made = looking(tmp_path, "risk.position={take: [{when: close > 1, size: 50%}]}")
    made._stops(held=True)
    assert made.rows[-1].what == "stops"


def test_the_levels_of_a_grid_are_watched_by_the_process(tmp_path: Path) -> None:
    grid = "{grid: {centre: close, step: 2%, levels: 3, size: 5%}}"
    made = looking(tmp_path, f"risk.position={grid}", "signal=null", "risk.sizing=null")
    made._stops(held=True)
    assert [(each.what, each.verdict) for each in made.rows][-1] == ("grid", "note")
    assert made.rows[-1].found.startswith("the levels of a grid are watched by this process")


def test_rights_that_nobody_reports_are_a_warning(tmp_path: Path) -> None:
    made = looking(tmp_path)
    made._account(facts(), None)
    assert made.rows[1] == Row("key", "whether it may withdraw is not known", "warning")
    assert made.rows[2].verdict == "error"


@pytest.mark.parametrize(
    ("change", "verdict", "words"),
    [
        ({"trading": False}, "error", "not trading now"),
        ({"max_quantity": 0.01}, "warning", "the venue takes 1.00 in one order"),
        ({"lot": 10.0}, "warning", "one lot is 1000.00"),
        ({"lot": 100.0}, "error", "takes none below 10000.00"),
        ({}, "ok", "from 5.00"),
    ],
)
def test_sizes(tmp_path: Path, change: dict[str, Any], verdict: str, words: str) -> None:
    made = looking(tmp_path)
    made._prices["BTC/USDT"] = 100.0
    terms = {"lot": 1e-5, "tick": 0.01, "min_notional": 5.0, **change}
    made._market("BTC/USDT", Market(symbol="BTC/USDT", base="BTC", quote="USDT", **terms))
    assert made.rows[-1].verdict == verdict
    assert words in made.rows[-1].found
