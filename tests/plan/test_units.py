"""What is compiled anew for an edit: the unit that is edited, and no other."""

from __future__ import annotations

import numpy as np
import pytest

from septet._host import sources
from septet._kernel import layout
from septet._plan import source_digest
from septet._plan.binding import FEATURES, SIGNAL, TRADING, UNITS
from septet._plan.native import address_of
from septet._plan.units import is_of
from septet._shell.session import plan_of
from tests.core.world import load_text

BODY = """\
version: 1
name: small
universe: {{symbols: [{symbols}], bar: {bar}}}
data: {{candles: {{use: synthetic}}}}
features:
{features}
signal: {{use: rules, {rule}}}
risk:
  sizing: {{use: fixed_fraction, fraction: 50%}}
  {more}
"""
BASE = {
    "symbols": "BTC/USDT",
    "bar": "1h",
    "features": "  fast: {use: sma, period: 20}\n  slow: {use: sma, period: 90}",
    "rule": "long_if: fast > slow, exit_if: fast < slow",
    "more": "stops: {stop_loss: 2%}",
}
EDITS = {
    "a value": ({"more": "stops: {stop_loss: 3%}"}, ()),
    "the name of a symbol": ({"symbols": "ETH/USDT"}, ()),
    "the length of a bar": ({"bar": "15m"}, ()),
    "a rule": ({"rule": "long_if: fast > close, exit_if: fast < slow"}, (SIGNAL,)),
    "a number in a rule": ({"rule": "long_if: fast > 1.1 * slow, exit_if: fast < slow"}, (SIGNAL,)),
    "the name of a feature": (
        {
            "features": "  quick: {use: sma, period: 20}\n  slow: {use: sma, period: 90}",
            "rule": "long_if: quick > slow, exit_if: quick < slow",
        },
        (),
    ),
    "a new feature that no rule reads": (
        {"features": "  far: {use: rsi, period: 14}\n" + BASE["features"]}, (FEATURES,),
    ),
    "a new feature and a rule that reads it": (
        {
            "features": BASE["features"] + "\n  strength: {use: rsi, period: 14}",
            "rule": "long_if: fast > slow and strength > 50, exit_if: fast < slow",
        },
        (FEATURES, SIGNAL),
    ),
    "another stop": ({"more": "stops: {trailing: {distance: 2%}}"}, (TRADING,)),
    "a halt": (
        {"more": BASE["more"] + "\n  halts: {drawdown: {above: 10%}}"}, (SIGNAL, TRADING)
    ),
    "a second symbol": ({"symbols": "BTC/USDT, ETH/USDT"}, (FEATURES, SIGNAL, TRADING)),
}  # fmt: skip
"""Edits, and what they compile; a halt's reason is numbered before those of the signal."""


def names_of(**edits):
    plan = plan_of(load_text(BODY.format(**{**BASE, **edits})))
    return {unit: plan.units.of(unit).name for unit in UNITS}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_compiles_what_it_changes(edit):
    edits, compiled = EDITS[edit]
    before, after = names_of(), names_of(**edits)
    assert {unit for unit in UNITS if before[unit] != after[unit]} == set(compiled)


def test_what_is_compiled_without_tables_has_the_same_features():
    body = load_text(BODY.format(**BASE))
    whole, fast = plan_of(body), plan_of(body, tables=False)
    assert whole.units.of(FEATURES).name == fast.units.of(FEATURES).name
    assert whole.units.of(TRADING).name != fast.units.of(TRADING).name


def test_every_entry_is_of_one_unit():
    for name in ("observe", "signals", "signal", "trade", "push", "book"):
        assert [is_of(unit.name, name) for unit in UNITS].count(True) == 1


def test_a_comment_a_docstring_and_layout_mean_nothing():
    before = b'"""One."""\n\ndef f(x):\n    """Two."""\n    return x + 1\n'
    after = b"# three\n\n\ndef f(x):\n    'four'\n    return (x  # five\n        + 1)\n"
    assert source_digest.meaning_of(before) == source_digest.meaning_of(after)
    assert source_digest.meaning_of(before) != source_digest.meaning_of(
        before.replace(b"+ 1", b"+ 1.0")
    )
    assert source_digest.meaning_of(b"def (") != source_digest.meaning_of(b"def ((")


@pytest.mark.parametrize(
    "around",
    ["if a:", "if a:\n pass\nelse:", "for a in b:", "while a:\n pass\nelse:", "with a:",
     "try:\n pass\nexcept E:", "try:\n pass\nfinally:", "match a:\n case 1:", "class A:"],
)  # fmt: skip
def test_a_docstring_has_no_meaning_wherever_its_function_is(around: str) -> None:
    without, documented = (
        f"{around}\n  def f():\n   {text}return lambda: 'x'\n".encode()
        for text in ("", '"What it does."\n   ')
    )
    assert source_digest.meaning_of(without) == source_digest.meaning_of(documented)
    assert source_digest.meaning_of(without) != source_digest.meaning_of(
        without.replace(b"'x'", b"'y'")
    )


def test_the_meaning_of_a_package_is_kept_and_read_again(tmp_path, monkeypatch):
    monkeypatch.setenv("SEPTET_CACHE", str(tmp_path / "plans"))
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / "stranger_meaning.py"
    read: list[bytes] = []
    meaning_of = source_digest.meaning_of

    def counted(data: bytes) -> str:
        read.append(data)
        return meaning_of(data)

    monkeypatch.setattr(source_digest, "meaning_of", counted)

    def digest(text: str) -> str:
        file.write_text(text, encoding="utf-8")
        sources.package_digest.cache_clear()  # as a new process would find it
        source_digest._digest.cache_clear()
        return source_digest.meaning_digest("stranger_meaning")

    first = digest("K = 1\n")
    assert digest("K = 1\n") == first
    assert len(read) == 1, "it was kept"
    with monkeypatch.context() as patch:
        patch.setattr(source_digest, "files_of", lambda package: pytest.fail("read a second time"))
        assert digest("K = 1\n") == first
    assert digest("K = 1  # one\n") == first
    assert digest("K = 2\n") != first
    kept = tmp_path / "plans" / "texts" / "meanings.json"
    kept.write_bytes(b"damaged")
    assert digest("K = 1\n") == first


def test_an_error_in_a_unit_is_raised_by_what_calls_it():
    from numba import njit

    from septet._kernel.step import unit_caller

    call = unit_caller()

    @njit("int64(int64, int64, int64[:, ::1])", error_model="numpy")
    def unit(a, b, table):
        if a < 0:
            raise ValueError("of the unit")
        return a + 10 * b + 100 * table[1, 2]

    @njit("int64(int64[::1], int64, int64)", error_model="numpy")
    def caller(calls, a, b):
        return call(calls, 1, a, b) + 1

    table = np.arange(2 * layout.TABLE_COLUMNS).reshape(2, layout.TABLE_COLUMNS)
    calls = np.zeros(layout.H_SLOTS, np.int64)
    calls[1] = address_of(unit)
    calls[layout.CALL_TABLE], calls[layout.CALL_ROWS] = table.ctypes.data, len(table)
    assert caller(calls, 3, 4) == 3 + 40 + 100 * table[1, 2] + 1
    with pytest.raises(ValueError, match="of the unit"):
        caller(calls, -1, 4)
