"""The benchmark of the pages runs; nothing is timed here."""

from __future__ import annotations

import asyncio
import importlib
from pathlib import Path
from types import ModuleType

import pytest

from tests.report.reading import needs_chromium, needs_library


def viewing() -> ModuleType:
    return importlib.import_module("viewing")


@needs_chromium
@needs_library
def test_a_chart_is_moved_and_its_frames_and_heap_are_counted() -> None:
    figures = list(viewing().pan(True))
    assert [each.unit for each in figures] == ["ms", "ms", "MB"]
    assert all(each.value > 0 for each in figures)
    assert all(each.bound is not None for each in figures)


@needs_chromium
def test_a_live_run_is_looked_at_and_its_page_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    for name in ("live_world", "live_latency", "live_mill"):
        module = importlib.import_module(name)
        monkeypatch.setattr(module, "BAR_NS", module.BAR_NS)  # the benchmark has bars of a minute
    latency = importlib.import_module("live_latency")
    monkeypatch.setattr(latency, "demo", latency.demo)
    script = viewing()

    async def looked_at() -> list[float]:
        mill = await script._live(tmp_path, 500)
        try:
            found = [*script.look(mill, tmp_path / "runs", tmp_path, True)]
            assert mill.world.strategy_run.known.decisions > 500
            return [each.value for each in [*found, *script.crowd(mill, tmp_path / "runs", True)]]
        finally:
            await latency.stop(mill.world)

    values = asyncio.run(looked_at())
    assert len(values) == 5
    assert all(each > 0 for each in values[:4])


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        viewing().main(["--only", "pan,speed"])
    assert "--only was speed" in capsys.readouterr().err
