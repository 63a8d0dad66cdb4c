"""Plugins that reach out are tried against a local server, or a local venue of their author's."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import septet.testing.order_script as life
from septet.testing import ConformanceError, LocalServer, Trial, check_object
from septet.testing.verdict import decisive, state_of
from septet_plugins.execution import venues
from septet_plugins.monitoring.alerts import Apprise, apprise
from tests.execution.helpers import KEY, OPTIONS, SECRET, local_venue
from tests.strangers.outward import CHANNEL, SOURCE, VENUE
from tests.strangers.package import installed, write_package
from tests.strangers.steps import HEAD

WRONG = {
    (CHANNEL, "sends nothing"): "send returns, and no text of the alert arrived (0 requests)",
    (CHANNEL, "leaves out the text"): "send returns, and no text of the alert arrived (1 requests)",
    (CHANNEL, "hides a failure"): "send returns though its server answered 500",
    (SOURCE, "counts its reads"): "read gives other rows the second time",
    (SOURCE, "looks at the end"): "read gives other rows when fewer are asked for",
    (SOURCE, "gives the future"): "rows that are not known at the time at which they are asked for",
    (SOURCE, "gives prices that cannot be"): "what broken.read gives is refused: ",
    (SOURCE, "knows no symbol"): "read gives no rows of what its trial asks for",
    (VENUE, "raises"): "KeyError: 'kit-",
    (VENUE, "hangs"): "submit gives no answer within 0.3 s",
    (VENUE, "takes another quantity"): "submit answers a quantity of 1",
    (VENUE, "says half"): "query reports 0.25 of 0.5 as filled",
    (VENUE, "fills too much"): "the sink is given 0.75 of an order of 0.5",
    (
        VENUE,
        "uses a trade id twice",
    ): "the sink was given 0.25 of 0.5 that an order at market",
    (VENUE, "keeps executions back"): "the sink was given 0 of 0.5",
    (VENUE, "cancels nothing"): "query returns open for an order; expected cancelled",
    (VENUE, "forgets one"): "cancel_all leaves 1 of 2 orders open",
    (VENUE, "has no word for what is not there"): "query answers None; expected NotFound",
    (VENUE, "lists nothing"): "open_orders leaves out an order that rests",
    (VENUE, "raises for what is not listed"): "open raises for a symbol that is not listed",
    (VENUE, "names nothing that is not listed"): "open does not name KITNONE/USDT",
    (VENUE, "keeps no executions"): "fills does not list the execution 0 that was reported",
}


def tried(folder: Path, source: str, mistake: str = "") -> Any:
    """Make the decisive checks, as before a run: the settings of the file are not of use here."""
    text = HEAD + source.replace("{mistake}", mistake).replace("{{", "{").replace("}}", "}")
    write_package(folder, "odd-trials", {"steps.py": text, "manifest.py": ""})
    with installed(folder, "odd_trials"):
        module = importlib.import_module("odd_trials.steps")
        return decisive(module.broken, module.Plain())


@pytest.mark.parametrize(("source", "mistake"), WRONG, ids=[each[1] for each in WRONG])
def test_what_it_does_wrong_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, mistake: str
) -> None:
    monkeypatch.setattr(life, "PATIENCE_S", 0.3)
    checks = tried(tmp_path, source, mistake)
    assert state_of(checks) == "failed", checks
    assert WRONG[source, mistake] in checks[-1].message
    assert "steps.py:" in checks[-1].message


@pytest.mark.parametrize(
    ("source", "mistake", "words"),
    [
        (CHANNEL, "sends by the order of a set", "two processes differ: request at 0"),
        (VENUE, "names its account by chance", "two processes differ: what open returns at 1"),
    ],
    ids=["alerts", "venue"],
)
def test_what_differs_from_process_to_process_is_found(
    tmp_path: Path, source: str, mistake: str, words: str
) -> None:
    checks = tried(tmp_path, source, mistake)
    assert state_of(checks) == "failed", checks
    assert checks[-1].name == "alike in every process"
    assert words in checks[-1].message
    assert "steps.py:" in checks[-1].message


def test_times_and_ids_of_an_alert_are_not_compared(tmp_path: Path) -> None:
    checks = tried(tmp_path, CHANNEL, "says the time")
    assert state_of(checks) == "kept", checks


@pytest.mark.parametrize("source", [CHANNEL, SOURCE, VENUE], ids=["alerts", "candles", "venue"])
def test_what_is_sound_is_kept(tmp_path: Path, source: str) -> None:
    checks = tried(tmp_path, source)
    assert state_of(checks) == "kept", checks


@pytest.mark.parametrize("source", [CHANNEL, SOURCE, VENUE], ids=["alerts", "candles", "venue"])
def test_without_a_trial_it_shows_what_is_needed(tmp_path: Path, source: str) -> None:
    checks = tried(tmp_path, source.replace(", trial=local)", ")"))
    assert state_of(checks) == "not tried", checks
    assert "with trial= " in checks[-1].message
    assert "docs/plugins.md, section 6" in checks[-1].message


@pytest.mark.filterwarnings("ignore:'imghdr'")
def test_septets_own_channel_is_tried_in_a_call() -> None:
    def local(server: LocalServer) -> Apprise:
        server.secrets["env:KIT"] = f"json://{server.address}/"
        return Apprise(urls=("env:KIT",))

    check_object(apprise, trial=local)
    with pytest.raises(ConformanceError, match="not tried: the kit sends nothing to the world"):
        check_object(apprise, Apprise(urls=("env:KIT",)))


def test_septets_own_venue_lives_through_the_script() -> None:
    @asynccontextmanager
    async def local(server: LocalServer) -> AsyncIterator[Trial]:
        server.secrets |= {"env:K": KEY, "env:S": SECRET}
        async with local_venue() as there:
            config = venues.Ccxt(
                exchange="binance", key="env:K", secret="env:S", urls=there.urls,
                options=OPTIONS, rate_limit=False, timeout="3s",
            )  # fmt: skip
            yield Trial(config, quantity=0.5, resting_price=90.0)

    check_object(venues.ccxt_venue, trial=local)


DAILY = """
from septet.plugin.data import Facts, RawBars, candles

DAY = 86_400_000_000_000


@candles(Plain)
class broken:
    def __init__(self, config):
        self.config = config

    def read(self, request):
        import polars as pl

        price = 100.0 + pl.int_range(3_000, eager=True).cast(pl.Float64)
        at = 1_577_836_800_000_000_000 + pl.int_range(3_000, eager=True) * DAY
        columns = {name: price for name in ("open", "high", "low", "close", "volume")}
        frame = pl.DataFrame({"timestamp": at, **columns})
        return [RawBars(each, frame, Facts("own", stamp="open")) for each in request.symbols]
"""


def test_a_source_with_bars_and_an_end_of_its_own_is_not_refused(tmp_path: Path) -> None:
    checks = tried(tmp_path, DAILY)
    assert state_of(checks) == "not tried", checks
    assert "rows are mostly 1d apart, expected bars of 1h" in checks[-1].message
    with installed(tmp_path, "odd_trials"):
        module = importlib.import_module("odd_trials.steps")
        checks = decisive(module.broken, module.Plain(), bar_ns=24 * 3_600_000_000_000)
    assert state_of(checks) == "kept", checks
