"""Every snippet of the documents runs, and agrees with the code it is about."""

from __future__ import annotations

import asyncio
import importlib
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest
import yaml

from septet.hookspecs import LAYERS, Kind

ROOT = Path(__file__).resolve().parents[1]
GUIDE = ROOT / "docs" / "plugins.md"
EXAMPLE = ROOT / "examples" / "septet-weekend"


def _snippets(language: str) -> list[str]:
    found = re.findall(
        rf"^```{language}\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert found, f"no {language} snippet in {GUIDE.name}"
    return found


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the guide's Python defines, read from top to bottom, each snippet as a file."""
    names: dict[str, Any] = {"is_weekend": lambda now_ns: True}
    folder = tmp_path_factory.mktemp("guide")
    for number, snippet in enumerate(_snippets("python")):
        file = folder / f"snippet_{number}.py"
        file.write_text(snippet, encoding="utf-8")
        module = ModuleType(f"guide_{number}")  # docstrings of fields are read from its source
        module.__file__ = str(file)
        sys.modules[module.__name__] = module
        names["__name__"] = module.__name__
        exec(compile(snippet, str(file), "exec", dont_inherit=True), names)
    yield names
    for number in range(len(_snippets("python"))):
        sys.modules.pop(f"guide_{number}")


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(str(EXAMPLE / "src"))
    modules = [importlib.import_module(f"septet_weekend.{name}") for name in ("features", "limits")]
    return {name: getattr(module, name) for module in modules for name in module.__all__}


@pytest.mark.parametrize("step", ["week_to_date", "weekend_cap"])
def test_the_guide_shows_the_example(
    step: str, guide: dict[str, Any], example: dict[str, Any]
) -> None:
    shown, real = guide[step], example[step]
    assert shown.parameters == real.parameters
    assert shown.state == real.state
    assert (
        shown.config.model_json_schema()["properties"]
        == (real.config.model_json_schema()["properties"])
    )


def test_the_guides_channel_is_tried_against_the_local_server(guide: dict[str, Any]) -> None:
    from septet.testing import check_object

    check_object(guide["Poster"])


def test_the_guides_source_is_tried(guide: dict[str, Any]) -> None:
    from septet.testing import check_object

    check_object(guide["Stairs"])


def test_the_guides_limit_answers_like_the_example(
    guide: dict[str, Any], example: dict[str, Any]
) -> None:
    saturday_ns = 9 * 86_400_000_000_000
    for notional in (0.0, 20.0, -20.0, 80.0):
        question = (3.0, 10.0, 1_000.0, notional, saturday_ns, 0.05)
        assert guide["weekend_cap"](*question) == example["weekend_cap"](*question)


def test_the_guides_source_hands_over_bars(guide: dict[str, Any]) -> None:
    from septet.plugin.data import Request

    source = guide["Stairs"](guide["StairsConfig"](bars=3))
    (rows,) = source.read(Request(("A/B",), 60_000_000_000))
    assert rows.symbol == "A/B"
    opened = [1_577_836_800_000_000_000 + n * 60_000_000_000 for n in range(3)]
    assert rows.frame["timestamp"].to_list() == opened
    assert rows.frame["close"].to_list() == [101.0, 102.0, 103.0]


def test_the_guides_model_learns_and_is_read_back(guide: dict[str, Any]) -> None:
    import numpy as np

    from septet.plugin.model import Untrainable, Window

    chance = np.random.default_rng(5)
    x = np.ascontiguousarray(chance.normal(size=(80, 3)))
    y = (x[:, 1] > 0.0).astype(np.int64)
    time_ns = np.arange(80, dtype=np.int64)
    trainer = guide["Centroid"](guide["CentroidConfig"](sharpness=2.0))
    fitted = trainer.fit(Window(x, y, time_ns, time_ns + 1, ("a", "b", "c"), 0)).model
    up = fitted.predict(x)
    assert np.mean((up > 0.5) == (y == 1)) > 0.9
    assert [fitted.predict_row(row) for row in x] == up.tolist()
    assert trainer.restore(fitted.arrays()).predict(x).tolist() == up.tolist()
    with pytest.raises(Untrainable):
        trainer.fit(Window(x * 0.0, y, time_ns, time_ns + 1, ("a", "b", "c"), 0))


def test_the_guides_monitor_reads_a_run(guide: dict[str, Any]) -> None:
    import numpy as np

    from septet.plugin.live import FillRows, Reading, RunView, TradeRows

    hours = np.array([1, 3, 9], dtype=np.int64)
    level, none = np.ones(3), np.zeros(0)
    whole = np.zeros(0, dtype=np.int64)
    fills = FillRows(hours, hours * 0, hours * 0 + 1, level, level, level, level)
    trades = TradeRows(whole, whole, whole, whole, *[none] * 8)
    ten, flat = np.arange(10, dtype=np.int64), np.ones(10)
    run = RunView(("A/B",), 1, ten, flat, flat, flat, fills, trades)
    monitor = guide["Silence"](guide["SilenceConfig"](above=5))
    found = monitor.read(run)
    assert found == [Reading(3, "", 2.0, 5.0, "ok", 2), Reading(9, "", 6.0, 5.0, "warn", 2)]
    assert monitor.read(run.until(8)) == found[:1]


def test_the_guides_feed_reports_bars_as_they_close(guide: dict[str, Any]) -> None:
    from septet._live.clock import ManualClock
    from septet.plugin.live import BarSeen, FeedRequest, Tasks

    async def listening() -> list[BarSeen]:
        clock, seen = ManualClock(market_ns=10 * 10**9), list[BarSeen]()
        feed = guide["StairsFeed"](clock, Tasks("stairs"))
        facts = await feed.open(FeedRequest(("A/B",), 10**9), seen.append)
        assert facts.how == {"bars": "stream"}
        found = list(await feed.bars("A/B", 7 * 10**9 + 1, 99 * 10**9))
        await feed.close()
        return found

    found = asyncio.run(listening())
    assert [each.open_ns for each in found] == [8 * 10**9, 9 * 10**9]
    assert all(each.low <= each.open <= each.high and each.closed for each in found)


def test_the_guide_names_what_venues_and_feeds_do() -> None:
    from septet.plugin.live import LiveFeed, LiveVenue

    text = GUIDE.read_text(encoding="utf-8")
    methods = [name for each in (LiveVenue, LiveFeed) for name in vars(each) if name[0] != "_"]
    assert not [name for name in methods if f"`{name}`" not in text and f"def {name}(" not in text]


def test_the_guides_manifest_names_what_it_defines(guide: dict[str, Any]) -> None:
    for hook in ("septet_features", "septet_risk"):
        for component in guide[hook]():
            assert component.target.partition(":")[2] in guide


def test_the_guides_files_are_the_examples() -> None:
    (toml,) = (tomllib.loads(text) for text in _snippets("toml"))
    real = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))
    assert toml["project"].items() <= {**real["project"]}.items()
    (shown,) = (yaml.safe_load(text) for text in _snippets("yaml"))
    strategy = yaml.safe_load((EXAMPLE / "strategy.yaml").read_text(encoding="utf-8"))
    assert shown["plugins"] == strategy["plugins"]
    assert shown["features"].items() <= strategy["features"].items()
    assert shown["risk"]["limits"] == strategy["risk"]["limits"]


def test_every_layer_and_kind_is_in_the_guide() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    missing = [name for name in (*LAYERS, *get_args(Kind)) if f"`{name}`" not in text]
    assert not missing
