"""``septet check`` and ``septet explain`` on the installed plugins."""

from __future__ import annotations

import json
import re
from pathlib import Path

from septet._plan.wiring import WIRED
from tests.cli.conftest import Command

VALID = Path(__file__).parents[1] / "config" / "valid"
SMALLEST = VALID / "smallest.yaml"
RUNNER = Path(__file__).parents[2] / "runner"


def broken(folder: Path) -> Path:
    path = folder / "broken.yaml"
    text = SMALLEST.read_text(encoding="utf-8")
    path.write_text(text.replace("period: 20", "perod: 20"), encoding="utf-8")
    return path


def test_a_good_file(septet: Command) -> None:
    outcome = septet("check", SMALLEST, "--no-data")
    assert outcome.code == 0
    assert outcome.out == f"ok: {SMALLEST}\n"
    assert outcome.err == ""


def test_a_broken_file_shows_its_line(septet: Command, tmp_path: Path) -> None:
    path = broken(tmp_path)
    outcome = septet("check", path)
    assert outcome.code == 2
    assert f"{path}:7:20: error: features.fast.perod: unknown key 'perod'" in outcome.err
    assert "     7 |   fast: {use: sma, perod: 20}" in outcome.err
    assert "did you mean period?" in outcome.err
    assert outcome.out == ""


def test_check_as_json(septet: Command, tmp_path: Path) -> None:
    good = json.loads(septet("check", SMALLEST, "--no-data", "--json").out)
    assert (good["ok"], good["problems"], good["name"]) == (True, [], "sma-cross")
    outcome = septet("check", broken(tmp_path), "--json")
    bad = json.loads(outcome.out)
    assert outcome.code == 2
    assert bad["problems"][0]["key"] == "features.fast.perod"
    assert bad["problems"][0]["column"] == 20


def test_check_with_a_setting_and_a_mode(septet: Command) -> None:
    outcome = septet("check", SMALLEST, "--mode", "live", "--set", "seed=-1")
    assert outcome.code == 2
    assert "--set seed: error: seed: this is out of range" in outcome.err
    assert "live mode needs halts" in outcome.err


def test_warnings_leave_the_status_at_zero(septet: Command) -> None:
    outcome = septet("check", SMALLEST, "--no-data", "--set", "features.idle={use: rsi}")
    assert outcome.code == 0
    assert "warning: features.idle: nothing reads this feature" in outcome.err
    assert "1 warning" in outcome.out


def test_explain_shows_value_and_origin(septet: Command) -> None:
    outcome = septet("explain", SMALLEST, "features.fast", "--set", "features.fast.period=7")
    assert outcome.code == 0
    lines = [line.split() for line in outcome.out.splitlines()]
    assert ["features.fast.period", "7", "--set", "features.fast.period"] in lines
    assert ["features.fast.of", "close", "default"] in lines
    assert ["features.fast.use", "sma", f"{SMALLEST}:7:15"] in lines


def test_explain_as_json(septet: Command) -> None:
    entries = json.loads(septet("explain", SMALLEST, "--json").out)
    found = {entry["key"]: entry for entry in entries}
    assert found["risk.limits.price_collar.max"]["value"] == 0.05
    assert found["risk.limits.price_collar.max"]["shown"] == "5%"
    assert found["risk.limits.price_collar.max"]["origin"]["kind"] == "default"
    assert found["account.currency"]["origin"]["kind"] == "derived"


def test_explain_an_unknown_key(septet: Command) -> None:
    outcome = septet("explain", SMALLEST, "risk.sizng")
    assert outcome.code == 2
    assert "no key is called 'risk.sizng'" in outcome.err
    assert "risk.sizing" in outcome.err


def test_explain_shows_the_plan_and_its_numbers(septet: Command) -> None:
    outcome = septet("explain", SMALLEST, "--plan")
    assert outcome.code == 0
    compile(outcome.out, "plan.py", "exec")
    assert "feature_sma" in outcome.out
    assert "= 20  features.fast.period" in outcome.out
    lines = outcome.out.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("def "):
            name = re.sub(r"_\d+$", "_N", line.removeprefix("def ").partition("(")[0])
            makers = [maker.__name__ for maker, names in WIRED.items() if name in names]
            file, _, at = lines[number - 2].removeprefix("# ").partition(":")
            source = (RUNNER / file).read_text(encoding="utf-8").splitlines()
            place = "".join(source[int(at) - 1 : int(at) + 3])
            assert any(f"def {each}(" in place for each in [name, *makers]), line
        elif " = use(_feature_sma)" in line:
            assert "  # septet_plugins/features/averages.py:" in line
    shown = json.loads(septet("explain", SMALLEST, "--plan", "--json").out)
    assert shown["name"].startswith("plan_")
    assert {"key": "features.slow.period", "value": 100.0} in shown["parameters"]
