"""The public edge: what a plugin author may import, name by name.

A name that appears here by accident becomes a promise; one that disappears breaks somebody.
So a change of the edge is made twice: in the module, and in this table.
"""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

EDGE = {
    "septet": """
        __version__

        load loads check run run_many sweep train runs open_run trials halt resume

        Strategy Run Sweep Check Summary Trials Verdict Why Gap Model Failed Halted Problem

        Data Engine Method Mode Settings Table Progress Cancel

        SeptetError InputError ConfigError DataError ModelError PluginError RunError JournalError
        HaltedError Cancelled
    """,
    "septet.errors": """
        Cancelled ConfigError DataError HaltedError InputError JournalError ModelError PluginError
        Problem RunError SeptetError
    """,
    "septet.hookspecs": """
        HOOK_OF_LAYER LAYERS PROJECT Component HookSpecs Kind Layer hookimpl hookspec
    """,
    "septet.messages": """
        COMMANDS EVENTS About Command Event OrderKind OrderState

        Acked BarClosed CancelFailed Cause DecisionTimeReached FeedChanged Filled FiltersChanged
        Gapped Holdings ModelFailed ModelReady NotFound OpenOrders Operated OrderSeen Printed
        Quarantined Quoted Rejected SeriesPoint Skewed Started Ticked Uncertain Unreadable
        VenueChanged

        Alerted Amend Cancel CancelAll Changed Cleared Corrected Decided Funded InvalidAnswer Placed
        Query Refresh Ruled Submit Traded Train Tripped Wake Watched
    """,
    "septet.plugin": """
        VOCABULARY Component Declaration Factory Inner Memory Step World hookimpl

        across composition feature halt inner limit order regime signal sizing stop

        anchored fading unbounded window

        Bars Config Expression Fraction Input MarketDuration Probability Secret SecretRef
        SignedFraction Span Trades WallDuration
    """,
    "septet.plugin.data": """
        candles series

        CandlesSource Facts FetchReport Fetches LazyBars Progress RawBars RawSeries Request Scans
        SeriesSource SourceRows StartTime Store decode_json format_duration masked_addresses
        memory_bytes one_file open_regular parse_duration read_bars read_parquet_file reader_words
        rename_columns scan_bars scan_parquet_file
    """,
    "septet.plugin.live": """
        alerts monitor venue

        FillRows Monitor Reading RunView TradeRows Verdict

        BarSeen Clock Connects FeedFacts FeedMessage FeedRequest LiveFeed LiveVenue Market
        PrintSeen QuoteSeen Simulation StreamDown Streams VenueFacts may_leave
        require_listed_symbols

        Backoff Kept TaskChange Tasks Timer race

        Notices Unreadable is_programming_error read_choice read_id read_number read_price
        read_quantity read_stamp_ns
    """,
    "septet.plugin.model": """
        model

        Fitted Recipe Restores Served Trainer Untrainable Window
    """,
    "septet.plugin.risk": """
        Away AwayOrZero Distance StopAway break_even_price
    """,
    "septet.plugin.numeric": """
        State helper slots

        TOLERANCE passes touches

        AVERAGE COMOMENTS EXTREME MOMENTS NAN POWERS RANK SUM WEIGHTED absorb add cosine
        distance_sum divide due exponential finite gather logarithm positive_part power
        recursive_average replay_due roll root sine standard_deviation weighted_sum window_comoments
        window_counts window_finite window_max window_min
        window_moments window_powers window_rank window_sum
    """,
    "septet.testing": """
        CHECKS ConformanceError LocalServer Received Subject Trial check_component check_object
        check_package check_rule features_of flat_bars memory_of run_feature same_bits sample_bars
        steps_of
    """,
}


PLUGIN_MODULES = sorted(name for name in EDGE if name.partition(".")[2].startswith("plugin"))


@pytest.mark.parametrize("module", sorted(EDGE))
def test_exported_names(module: str) -> None:
    exported = importlib.import_module(module).__all__
    assert len(exported) == len(set(exported)), "a name is listed twice"
    promised = set(EDGE[module].split())
    added, gone = sorted(set(exported) - promised), sorted(promised - set(exported))
    assert not added, f"new at the edge of {module}; if it is meant, add it to EDGE: {added}"
    assert not gone, f"missing from {module}, though plugins may use it: {gone}"


@pytest.mark.parametrize("module", sorted(EDGE))
def test_exported_names_exist(module: str) -> None:
    imported = importlib.import_module(module)
    missing = [name for name in imported.__all__ if not hasattr(imported, name)]
    assert not missing


def _public_modules() -> list[str]:
    folder = ROOT / "runner" / "septet"
    modules = [path.stem for path in folder.glob("*.py")]
    modules += [path.parent.name for path in folder.glob("*/__init__.py")]
    modules += [f"plugin.{path.stem}" for path in (folder / "plugin").glob("*.py")]
    return sorted(name for name in modules if not re.search(r"(^|\.)_", name))


def test_there_is_no_further_public_module() -> None:
    known = {name.partition(".")[2] for name in EDGE} | {"cli"}
    assert set(_public_modules()) <= known, "list it in EDGE, or give it an underscore"


def test_a_name_lies_in_one_public_module() -> None:
    listed = Counter(
        name for module in PLUGIN_MODULES for name in importlib.import_module(module).__all__
    )
    assert [name for name, times in listed.items() if times > 1] == []


def test_the_door_states_where_a_name_is() -> None:
    with pytest.raises(ImportError, match=r"window_sum is in septet\.plugin\.numeric"):
        exec("from septet.plugin import window_sum", {})
    with pytest.raises(ImportError, match=r"cannot import name 'window_of'"):
        exec("from septet.plugin import window_of", {})


def test_every_public_name_is_documented() -> None:
    """A class or function of the edge states what it is."""
    silent = []
    for module in EDGE:
        imported = importlib.import_module(module)
        for name in imported.__all__:
            value = getattr(imported, name)
            defined_here = getattr(value, "__module__", "").startswith("septet")
            if defined_here and (isinstance(value, type) or callable(value)) and not value.__doc__:
                silent.append(f"{module}.{name}")
    assert not silent


@pytest.mark.parametrize("module", ["septet", "septet.errors", "septet.hookspecs"])
def test_a_manifest_is_cheap_to_import(module: str) -> None:
    """Listing every installed plugin must not wait for numpy or pydantic."""
    code = (
        f"import sys, {module}; print(sorted({{'numpy', 'pydantic', 'polars'}} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_door_loads_what_is_asked_for_and_no_more() -> None:
    """A package of features waits for no reader of files and no event loop."""
    code = "import sys, septet.plugin; print(sorted(set(sys.argv[1:]) & set(sys.modules)))"
    modules = ["asyncio", "polars", "septet._data", "septet._text", *PLUGIN_MODULES[1:]]
    command = [sys.executable, "-c", code, *modules]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_built_in_manifests_import_nothing_but_the_hookspecs() -> None:
    for path in (ROOT / "plugins" / "septet_plugins").rglob("manifest.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom | ast.Import):
                module = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
                assert module in {"__future__", "septet.hookspecs", "typing"} or str(
                    module
                ).endswith(".manifest"), f"{path}: {module}"
