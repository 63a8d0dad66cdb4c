"""A name that no plugin has is a located error wherever it stands, and nothing else breaks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from septet._config import load
from septet.errors import ConfigError

FOLDER = Path(__file__).resolve().parents[2] / "strategies"
MINIMAL = {
    "version": 1, "name": "minimal", "universe": {"symbols": ["BTC/USD"], "bar": "15m"},
    "data": {"candles": {"use": "sample"}},
    "signal": {"use": "rules", "long_if": "close > open"},
    "risk": {
        "sizing": {"use": "fixed_fraction", "fraction": "10%"},
        "stops": {"only": {"use": "stop_loss", "distance": "4%"}},
        "halts": {
            "only": {"use": "drawdown", "above": "9%", "then": "flatten", "resume": "manual"}
        },
        "limits": {"only": {"use": "position", "max": "50%"}},
    },
}  # fmt: skip


def _uses(part: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every `use:`."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "use" and path != ("portfolio",):
                yield (*path, key)
            yield from _uses(value, (*path, key))


def _bodies() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "minimal", MINIMAL
    for file in sorted(FOLDER.glob("*.yaml")):
        yield file.stem, yaml.safe_load(file.read_text("utf-8"))


CASES = [(name, body, path) for name, body in _bodies() for path in _uses(body)]


@pytest.mark.parametrize(
    ("name", "body", "path"), CASES, ids=[f"{n}:{'.'.join(map(str, p))}" for n, _, p in CASES]
)
def test_an_unknown_name_is_an_error_with_its_place(
    name: str, body: dict[str, Any], path: tuple[Any, ...], tmp_path: Path
) -> None:
    made: Any = yaml.safe_load(yaml.safe_dump(body))
    made.pop("plugins", None)
    part = made
    for key in path[:-1]:
        part = part[key]
    part["use"] = "no_such_plugin"
    file = tmp_path / "made.yaml"
    file.write_text(yaml.safe_dump(made, sort_keys=False), "utf-8")
    with pytest.raises(ConfigError) as raised:
        load(str(file))
    texts = [each for each in raised.value.problems if "no_such_plugin" in each.message]
    assert texts
    assert texts[0].line > 0
