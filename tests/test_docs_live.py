"""What docs/live.md states is what the code does: its tables against their sources."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest
import yaml

from septet._config import load
from septet._core import checks
from septet._core.guards import RULES
from septet._drill.fault_kinds import CATALOGUE
from septet.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "live.md").read_text(encoding="utf-8")
CODES = (
    *(f"N{n}" for n in range(1, 14)), *(f"E{n}" for n in range(1, 25)),
    *(f"D{n}" for n in range(1, 7)), *(f"P{n}" for n in range(1, 10)),
    *(f"S{n}" for n in range(1, 6)), *(f"C{n}" for n in range(1, 7)),
    *(f"M{n}" for n in range(1, 5)), *(f"O{n}" for n in range(1, 4)),
    *(f"A{n}" for n in range(1, 20)),
)  # fmt: skip
LATER = {"P8"}


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"no section {title!r}"
    return found[1]


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def faults() -> dict[str, list[str]]:
    found = [row for row in rows(section("Faults")) if re.fullmatch(r"[A-Z]\d+", row[0])]
    assert len(found) == len({row[0] for row in found})
    return {row[0]: row[1:] for row in found}


def test_every_fault_has_its_row_and_what_shows_it() -> None:
    table = faults()
    assert tuple(table) == CODES
    drilled = {code for code, row in table.items() if row[2].startswith("drill")}
    assert drilled == set(CATALOGUE)
    bare = {code for code, row in table.items() if "`test_" not in row[2]}
    assert bare == LATER


def test_every_test_that_the_page_names_exists() -> None:
    there = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        there |= set(re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8")))
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert not named - there


def test_every_block_is_in_its_table_with_what_clears_it() -> None:
    found = {
        name: row[1] for row in rows(section("What blocks entries"))
        for name in re.findall(r"`(\w+)`", row[0])
    }  # fmt: skip
    assert set(found) == set(RULES)
    for name, rule in RULES.items():
        text = found[name].replace("(within `skew`: 500 ms)", "").strip()
        assert rule.clears_when in text, name


def test_every_check_is_in_its_table_with_its_default() -> None:
    table = {
        name: row[2] for row in rows(section("What is checked before the wire"))
        for name in re.findall(r"`(\w+)`", row[0])
    }  # fmt: skip
    assert checks.__doc__ is not None
    wanted = re.findall(r"^([a-z_]+(?:, [a-z_]+)*)  +[a-z]", checks.__doc__, re.MULTILINE)
    names = {name for each in wanted for name in each.split(", ")} - {"reason"}
    assert set(table) == names
    limits = checks.Limits()
    for name, words in (
        ("rate", f"{limits.orders_per_minute} and {limits.reductions_per_minute} a minute"),
        ("throttled", f"{limits.repeats} a minute"),
        ("turnover", f"{limits.flips}, or {limits.turnover:g} times equity, an hour"),
        ("no_price", f"{limits.price_age_ns // 10**9} s"),
        ("collar", f"{limits.price_collar:.0%}".replace("%", " %")),
        ("position", f"{limits.position:.0%} each, and {limits.slack:.0%}".replace("%", " %")),
    ):
        assert words in table[name], name
    assert limits.breaker_window_ns == 3_600 * 10**9
    assert limits.repeat_window_ns == 60 * 10**9


def test_commands_and_links_exist() -> None:
    assert set(re.findall(r"septet ([a-z]+) ", PAGE)) <= {*COMMANDS, "folder"}
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", PAGE)]
    assert [each for each in links if each and not (ROOT / "docs" / each).exists()] == []
    anchors = {each.lower().replace(" ", "-") for each in re.findall(r"^###? (.*)$", PAGE, re.M)}
    anchors |= set(re.findall(r'<a id="([\w-]+)">', PAGE))
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= anchors


def test_the_overlay_is_that_of_the_example() -> None:
    (shown,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    live = yaml.safe_load(shown)["live"]
    file = yaml.safe_load((ROOT / "strategies" / "live-example.yaml").read_text(encoding="utf-8"))
    for key in ("account", "universe", "data"):
        assert live[key] == file["live"][key]
    assert live["execution"]["venues"] == file["live"]["execution"]["venues"]


def test_live_requires_halts_as_documented() -> None:
    from septet.errors import ConfigError

    with pytest.raises(ConfigError, match="halts"):
        load(ROOT / "strategies" / "live-example.yaml", mode="live", sets=["risk.halts={}"])


def test_the_unit_starts_what_there_is() -> None:
    from septet._cli.run import run

    (text,) = re.findall(r"^```ini\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    unit = configparser.ConfigParser(interpolation=None)
    unit.read_string(text)
    words = unit["Service"]["ExecStart"].split()
    options = {name for each in run.params for name in each.opts}
    assert words[1] in COMMANDS
    assert {each for each in words if each.startswith("--")} <= options
    assert unit["Service"]["RestartPreventExitStatus"] == "2 3"
