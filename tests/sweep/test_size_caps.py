"""Sizes that limits cap stand in the table and in the verdict of a sweep."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from septet._sweep.size_caps import SIZE_CAP, add_size_cap, size_cap_text


def manifest(**changes: Any) -> dict[str, Any]:
    risk = {
        "sizing": {"use": "fixed_fraction", "fraction": 0.5},
        "limits": {
            "position": {"use": "position", "max": 0.8},
            "gross_exposure": {"use": "gross_exposure", "max": 1.0},
        },
        "split": "none",
        **changes.pop("risk", {}),
    }
    resolved = {
        "account": {"type": "spot"}, "universe": {"symbols": ["A/USD", "B/USD"]}, "risk": risk,
        "perpetual": {"leverage": 3.0}, **changes,
    }  # fmt: skip
    return {"resolved": resolved}


def caps(columns: dict[str, list[float]], written: dict[str, Any]) -> list[float | None]:
    table = pl.DataFrame({"setting": list(range(len(next(iter(columns.values()))))), **columns})
    found: list[float | None] = add_size_cap(table, written).get_column(SIZE_CAP).to_list()
    return found


def test_a_fraction_above_the_limit_is_capped_at_it() -> None:
    swept = {"risk.sizing.fraction": [0.5, 0.8, 1.0, 3.0]}
    assert caps(swept, manifest()) == [None, None, 0.8, 0.8]


@pytest.mark.parametrize("key", ["risk.limits.position", "risk.limits.position.max"])
def test_a_swept_limit_caps_the_size_of_the_file(key: str) -> None:
    assert caps({key: [0.2, 0.5, 0.9]}, manifest()) == [0.2, None, None]


def test_a_spot_account_and_gross_exposure_cap_as_well() -> None:
    wide = {"position": {"use": "position", "max": 9.0}}
    swept = {"risk.sizing.fraction": [0.5, 5.0]}
    assert caps(swept, manifest(risk={"limits": wide})) == [None, 1.0]
    account = {"type": "perpetual"}
    assert caps(swept, manifest(account=account, risk={"limits": wide})) == [None, 3.0]
    gross = {**wide, "gross_exposure": {"use": "gross_exposure", "max": 2.0}}
    assert caps(swept, manifest(account=account, risk={"limits": gross})) == [None, 2.0]


def test_a_size_that_is_split_is_capped_by_its_parts() -> None:
    swept = {"risk.sizing.fraction": [1.0, 1.6, 2.0]}
    assert caps(swept, manifest(risk={"split": "equal"})) == [None, None, 1.6]


def test_other_sizings_are_not_checked() -> None:
    kelly = {"sizing": {"use": "kelly", "fraction": 0.5, "max": 9.0}}
    swept = {"risk.sizing.fraction": [3.0]}
    assert caps(swept, manifest(risk=kelly)) == [None]
    assert caps(swept, {}) == [None]


def test_the_verdict_counts_them() -> None:
    table = add_size_cap(pl.DataFrame({"risk.sizing.fraction": [0.5, 1.0, 3.0]}), manifest())
    assert size_cap_text(table).startswith("2 of 3 settings ask for a larger size")
    assert size_cap_text(table[:2]).startswith("1 of 2 settings asks for a larger size")
    assert size_cap_text(table[:1]) == ""
