"""Whatever code of another package raises or prints ends as an error that names it and its line."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest

from septet._host.plugin_calls import is_theirs
from tests.cli.conftest import Command
from tests.strangers.package import installed, manifest_of, write_package

WAYS = {
    "exit": "sys.exit(0)",
    "interrupt": "raise KeyboardInterrupt",
    "closed": "raise GeneratorExit",
    "mute": "raise Mute",
    "own": "raise Own('boom')",
    "error": "raise OSError('no such thing')",
}
STEPS = """\
import sys
from pydantic import field_validator
from septet.plugin import *
from septet.plugin.data import Facts, RawBars, candles
from septet.plugin.live import Reading, monitor
from septet.plugin.model import Fitted, model

class Own(BaseException):
    pass

class Mute(Exception):
    def __str__(self):
        sys.exit(0)

class C(Config):
    of: Input = "close"
    sound: bool = True
    @field_validator("sound")
    @classmethod
    def judge(cls, value):
        if not value:
            {way}  # config
        return value

class N(Config):
    pass

@feature(C, compiled=False)
def plain(i, of):
    if of[i] > 0.0:
        {way}  # plain
    return of[i]

@candles(N)
class Source:
    def __init__(self, config):
        pass
    def read(self, request):
        {way}  # source

@monitor(N)
class Late:
    def __init__(self, config):
        pass
    def read(self, run):
        if len(run.time_ns) > 300:
            {way}  # monitor
        return []

@monitor(N)
def unbuilt(config):
    {way}  # build

@model(N)
class Mind:
    name = "mind"
    def __init__(self, config):
        pass
    def fit(self, window):
        {way}  # model
"""
COMPONENTS = {
    "plain": ("features", "feature"), "Source": ("data", "candles"),
    "Late": ("monitoring", "monitor"), "unbuilt": ("monitoring", "monitor"),
    "Mind": ("models", "model"),
}  # fmt: skip
FILE = """\
version: 1
name: strange
plugins: [odd-code]
universe: {{symbols: [BTC/USDT], bar: 1h}}
data: {{candles: {candles}}}
features:
  far: {feature}
{model}
signal: {signal}
risk: {{sizing: {{use: fixed_fraction, fraction: 50%}}}}
monitoring: {monitoring}
"""
PLAIN = {
    "candles": "{use: synthetic, bars: 4000, volatility: 90%}", "feature": "{use: sma, period: 5}",
    "model": "", "signal": "{use: rules, long_if: close > far}", "monitoring": "{}",
}  # fmt: skip
CALLERS = {
    "config": {"feature": "{use: plain, sound: false}"},
    "plain": {"feature": "{use: plain}"},
    "source": {"candles": "{use: Source, stamp: open, calendar: 24x7}"},
    "monitor": {"monitoring": "{mine: {use: Late}}"},
    "build": {"monitoring": "{mine: {use: unbuilt}}"},
    "model": {
        "model": "model: {use: Mind, label: {use: direction, horizon: 4}, training: "
        "{train: 30d, step: 10d}}",
        "signal": "{use: confidence}",
    },
}


def written(folder: Path, way: str, manifest: str = "") -> Path:
    """Write a package, and return its file of steps."""
    text = STEPS.format(way=WAYS[way])
    files = {"manifest.py": manifest + manifest_of("odd_code", COMPONENTS), "steps.py": text}
    return write_package(folder, "odd-code", files) / "steps.py"


def strategy(folder: Path, caller: str) -> Path:
    path = folder / "s.yaml"
    path.write_text(FILE.format(**{**PLAIN, **CALLERS.get(caller, {})}), encoding="utf-8")
    return path


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("caller", CALLERS)
def test_what_a_plugin_raises_is_an_error_with_its_line(
    tmp_path: Path, septet: Command, caller: str, way: str
) -> None:
    steps = written(tmp_path, way)
    lines = steps.read_text(encoding="utf-8").splitlines()
    line = next(number for number, text in enumerate(lines, 1) if text.endswith(f"# {caller}"))
    path = strategy(tmp_path, caller)
    with installed(tmp_path, "odd_code"):
        found = septet("run", path, "--unchecked", "--out", tmp_path / "runs")
    assert found.code in (1, 2), found
    assert f"steps.py:{line}" in found.err or caller == "config"
    assert "odd-code" in found.err
    assert "Traceback" not in found.err
    assert not list(tmp_path.glob("runs/strange/*/manifest.json"))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("caller", ["plain", "monitor", "model", "source"])
def test_a_check_fails_what_raises(tmp_path: Path, septet: Command, caller: str, way: str) -> None:
    written(tmp_path, way)
    path = strategy(tmp_path, caller)
    with installed(tmp_path, "odd_code"):
        found = septet("check", path)
    assert found.code == 2, found
    assert "steps.py:" in found.err
    assert "Traceback" not in found.err


@pytest.mark.parametrize(
    ("caller", "key"), [("source", "data.candles"), ("monitor", "monitoring.mine")]
)
def test_the_error_names_the_key_in_the_file(
    tmp_path: Path, septet: Command, caller: str, key: str
) -> None:
    written(tmp_path, "error")
    path = strategy(tmp_path, caller)
    with installed(tmp_path, "odd_code"):
        found = septet("run", path, "--unchecked", "--json", "--out", tmp_path / "runs")
    [problem] = json.loads(found.out)["problems"]
    assert problem["key"] == key
    assert problem["line"] > 0


ANSWERS = {
    "no list": ("return 7", "returned a int, expected a list of RawBars"),
    "no bars": ("return [7]", "gave a int among its bars, expected RawBars"),
    "the same again": (
        "return [RawBars('A', None, Facts('x'))] * 2", "gave two tables of A",
    ),
    "without an end": (
        "return (RawBars(str(n), None, Facts('x')) for n in iter(int, 1) for n in range(10**9))",
        "gave more than 1001 tables for 1 symbols",
    ),
}  # fmt: skip
READINGS = {
    "text for a number": (
        "return [Reading(int(run.time_ns[-1]), 'm', 'high', 1.0, 'ok', 1)]",
        "gave the value 'high', expected a number",
    ),
    "text for a time": (
        "return [Reading('now', 'm', 1.0, 1.0, 'ok', 1)]",
        "gave the time_ns 'now', expected nanoseconds",
    ),
    "without an end": (
        "return iter(lambda: Reading(int(run.time_ns[-1]), 'm', 1.0, 1.0, 'ok', 1), 0)",
        "returned more than",
    ),
}


@pytest.mark.parametrize(("code", "words"), ANSWERS.values(), ids=ANSWERS)
def test_a_source_that_gives_no_bars_is_named(
    tmp_path: Path, septet: Command, monkeypatch: pytest.MonkeyPatch, code: str, words: str
) -> None:
    monkeypatch.setitem(WAYS, "answer", code)
    written(tmp_path, "answer")
    path = strategy(tmp_path, "source")
    with installed(tmp_path, "odd_code"):
        found = septet("run", path, "--unchecked", "--out", tmp_path / "runs")
    assert found.code == 2
    assert f"data.candles: the candles Source of odd-code {words}" in found.err


@pytest.mark.parametrize(("code", "words"), READINGS.values(), ids=READINGS)
def test_a_monitor_that_gives_no_readings_is_named(
    tmp_path: Path, septet: Command, monkeypatch: pytest.MonkeyPatch, code: str, words: str
) -> None:
    monkeypatch.setitem(WAYS, "answer", code)
    written(tmp_path, "answer")
    path = strategy(tmp_path, "monitor")
    with installed(tmp_path, "odd_code"):
        found = septet("run", path, "--unchecked", "--out", tmp_path / "runs")
    assert found.code == 1
    assert f"monitoring.mine: the monitor Late of odd-code {words}" in found.err


def test_what_a_plugin_prints_is_no_part_of_a_document(tmp_path: Path, septet: Command) -> None:
    written(tmp_path, "error", manifest="print('HELLO FROM THE MANIFEST')\n")
    with installed(tmp_path, "odd_code"):
        found = septet("plugins", "list", "--json")
    assert json.loads(found.out)
    assert "HELLO FROM THE MANIFEST" in found.err


@pytest.mark.parametrize("way", WAYS)
def test_a_manifest_that_raises_is_set_aside(tmp_path: Path, septet: Command, way: str) -> None:
    head = "import sys\nclass Own(BaseException): pass\nclass Mute(Exception):\n" + textwrap.indent(
        "def __str__(self):\n    sys.exit(0)\n", "    "
    )
    written(tmp_path, "error", manifest=f"{head}{WAYS[way]}\n")
    with installed(tmp_path, "odd_code"):
        found = septet("plugins", "list")
        helped = septet("--help")
    assert found.code == helped.code == 0
    assert "odd-code" in found.out + found.err
    assert "manifest.py:" in found.out + found.err


def test_the_help_of_a_command_is_an_answer(septet: Command) -> None:
    found = septet("run", "--help")
    assert found.code == 0
    assert "--unchecked" in found.out


def interrupted() -> None:
    raise KeyboardInterrupt


def test_an_interrupt_between_two_instructions_is_the_persons() -> None:
    import signal

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
    try:
        with pytest.raises(KeyboardInterrupt) as pressed:
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    with pytest.raises(KeyboardInterrupt) as raised:
        interrupted()
    assert not is_theirs(pressed.value)
    assert is_theirs(raised.value)


DEFAULTS = {
    "a number of many digits": "h: int = 10**5000",
    "a default whose text exits": "h: object = Loud()",
    "a schema that exits": (
        "@classmethod\n    def __get_pydantic_json_schema__(cls, core, handler): sys.exit(0)"
    ),
}


@pytest.mark.parametrize("line", DEFAULTS.values(), ids=DEFAULTS)
def test_a_default_that_cannot_be_shown_is_an_error(
    tmp_path: Path, septet: Command, line: str
) -> None:
    head = (
        "import sys\nfrom septet.plugin import Config, Input, feature\n"
        "class Loud:\n    def __repr__(self): sys.exit(0)\n"
        f"class C(Config):\n    'Settings.'\n    of: Input = 'close'\n    {line}\n"
        "@feature(C)\ndef odd(i, of):\n    return of[i]\n"
    )
    files = {"manifest.py": manifest_of("odd_code", {"odd": ("features", "feature")})}
    write_package(tmp_path, "odd-code", {**files, "steps.py": head})
    with installed(tmp_path, "odd_code"):
        shown = septet("plugins", "show", "odd-code:odd")
        schema = septet("schema", "--out", tmp_path / "s.json")
    assert schema.code == 0, schema
    assert shown.code == 2, shown
    assert "odd-code:odd cannot be " in shown.err
    assert "Traceback" not in shown.err + schema.err


@pytest.mark.parametrize("manifest", ["", "def plain():\n    return []\n"])
def test_a_package_without_a_hook_is_named(tmp_path: Path, septet: Command, manifest: str) -> None:
    write_package(tmp_path, "odd-code", {"manifest.py": manifest})
    path = strategy(tmp_path, "")
    with installed(tmp_path, "odd_code"):
        listed = septet("plugins", "list")
        checked = septet("check", path)
    assert "odd-code cannot be loaded: it declares no hook of septet; expected one" in listed.err
    assert checked.code == 2
    assert "the plugins of odd-code cannot be used: it declares no hook" in checked.err


def test_a_plugin_that_cannot_be_imported_shows_what_helps(tmp_path: Path, septet: Command) -> None:
    files = {"manifest.py": manifest_of("odd_code", {"plain": ("features", "feature")})}
    path = strategy(tmp_path, "plain")
    for text, words in (
        (
            "import a_module_that_is_not_there\n",
            "install the module a_module_that_is_not_there, which odd-code imports",
        ),
        ("raise ValueError('one\\ntwo')\n", "ValueError: one two ("),
    ):
        write_package(tmp_path, "odd-code", {**files, "steps.py": text})
        with installed(tmp_path, "odd_code"):
            found = septet("check", path)
        assert found.code == 2
        assert words in found.err
        assert "\\n" not in found.err
        assert "reinstall" not in found.err
