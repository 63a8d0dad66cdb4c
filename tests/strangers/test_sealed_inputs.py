"""What an uncompiled step of another package is given stays as it was, whatever the step does."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from septet._config import load
from septet._host.step_arrays import detached, read_only_of
from septet._shell.backtest import backtest
from septet._store.tables import frames_of
from tests.strangers.package import STRATEGY, installed, manifest_of, write_package
from tests.strangers.steps import HEAD

WRITES = {
    "flag": """
    with_flag(of)
""",
    "base": """
    through_base(of)
""",
    "state": """
    below(state)
""",
}
SOURCE = """
def with_flag(array):
    array = getattr(array, "_values", array)
    try:
        array.flags.writeable = True
        array[:] = 1.0
    except ValueError:
        pass


def through_base(array):
    base = getattr(array, "_values", array)
    while isinstance(base, np.ndarray):
        try:
            base[...] = 1.0
        except ValueError:
            pass
        base = base.base
    owner = getattr(base, "obj", None)
    if isinstance(owner, np.ndarray):
        owner[...] = 1.0


def below(array):
    base = getattr(array, "_values", array).base
    while isinstance(base, np.ndarray):
        base[...] = 1.0
        base = base.base


@feature(
    Over, lookback=lambda c: c.period, state=("seen",), memory=lambda c: window(c.period + 1),
    compiled=False,
)
def mine(i, of, period, state):
    change = of[i] / of[i - period] - 1.0
    DEED
    return change


@sizing(Plain, state=("seen",), compiled=False)
def mine_size(equity, price, share, state):
    below(state)
    return share * equity / price


@sizing(Plain)
def sound_size(equity, price, share):
    return share * equity / price
"""
SOUND, SIZING = "    pass\n", "{use: fixed_fraction, fraction: 50%}"


def ran(folder: Path, deed: str, engine: str, size: str = SIZING) -> Any:
    package = f"odd-{engine}-{len(list(folder.iterdir()))}"
    module = package.replace("-", "_")
    components = {"mine": ("features", "feature"), "mine_size": ("risk", "sizing")}
    components["sound_size"] = ("risk", "sizing")
    source = HEAD + SOURCE.replace("    DEED\n", deed)
    files = {"steps.py": source, "manifest.py": manifest_of(module, components)}
    write_package(folder / module, package, files)
    text = STRATEGY.format(plugins=f"plugins: [{package}]", feature="{use: mine}")
    text = text.replace("features:\n", "features:\n  other: {use: ema, period: 5}\n")
    path = folder / f"{module}.yaml"
    path.write_text(text.replace(SIZING, size), encoding="utf-8")
    with installed(folder / module, module):
        return frames_of(backtest(load(path, unchecked=True), engine=engine))


@pytest.mark.parametrize("engine", ["batch", "event"])
@pytest.mark.parametrize("deed", list(WRITES))
def test_columns_and_slots_of_others_stay(tmp_path: Path, deed: str, engine: str) -> None:
    sound, odd = (ran(tmp_path, text, engine) for text in (SOUND, WRITES[deed]))
    for table in ("decisions", "orders", "fills", "trades", "equity"):
        assert sound[table].equals(odd[table], null_equal=True), table
    assert sound["trades"].height > 3


@pytest.mark.parametrize("engine", ["batch", "event"])
def test_a_sizing_reaches_nothing_of_the_account(tmp_path: Path, engine: str) -> None:
    sound = ran(tmp_path, SOUND, engine, "{use: sound_size, share: 0.1}")
    odd = ran(tmp_path, SOUND, engine, "{use: mine_size, share: 0.1}")
    assert sound["equity"].equals(odd["equity"], null_equal=True)


def test_what_is_sealed_keeps_its_array_and_shows_its_changes() -> None:
    column = np.arange(6.0).reshape(2, 3)
    read, owned = read_only_of(column[1]), detached(column[1])
    with pytest.raises(ValueError, match="WRITEABLE"):
        read.flags.writeable = True
    owned[0] = 7.0
    assert (read[0], column[1, 0]) == (7.0, 7.0)
    del column
    gc.collect(1)  # what this test made is young
    assert read.tolist() == owned.tolist() == [7.0, 4.0, 5.0]
    assert read_only_of(np.zeros(0)).size == 0
    assert read_only_of(np.arange(6.0)[::2]).tolist() == [0.0, 2.0, 4.0]
