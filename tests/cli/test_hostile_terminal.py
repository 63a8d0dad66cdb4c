"""No command lets a value speak to the terminal: every one is called on a pseudo-terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.strangers.package import manifest_of, write_package

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there are no pseudo-terminals")

EVIL = "\x1b[35mevil\x1b[7m\x1b]0;title\x07\x1b[2Jx"
OBEYED = ("\x1b[35m", "\x1b[7m", "\x1b]", "\x07", "\x1b[2J")
"""What the name does to a terminal; septet writes none of these itself."""
STRATEGY = """\
version: 1
name: evil
account: {capital: 10000, currency: USD}
universe: {symbols: [A/USD], bar: 1h}
data: {candles: {use: synthetic, bars: 60, seed: 3}}
features: {fast: {use: ema, period: 5}}
signal: {use: rules, long_if: close > fast, exit_if: close < fast}
risk: {sizing: {use: fixed_fraction, fraction: 45%}}
"""
PROGRAM = """
import json, sys
from septet.cli import main
for words in json.loads(sys.argv[1]):
    try:
        main(words)
    except SystemExit as end:
        print(f"=== {words[:2]!a} {end.code}", flush=True)
"""


def on_a_terminal(folder: Path, commands: list[list[str]]) -> str:
    """Call commands one after the other in one process whose output is a terminal."""
    reader, writer = os.openpty()
    environment = {
        **os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path]),
        "SEPTET_CACHE": str(folder / "cache"), "COLUMNS": "400",
        "SEPTET_COMPILE": "never",
    }  # fmt: skip
    program = [sys.executable, "-c", PROGRAM, json.dumps(commands)]
    process = subprocess.Popen(
        program, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer
    )
    os.close(writer)
    seen = b""
    try:
        while part := os.read(reader, 65536):
            seen += part
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(reader)
        process.wait()
    return seen.decode("utf-8", "replace")


def require_shown(seen: str, commands: list[list[str]]) -> None:
    assert seen.count("=== ") == len(commands), seen
    for each in OBEYED:
        assert each not in seen, seen[max(0, seen.index(each) - 300) :][:600]


def test_a_hostile_file_name_is_shown_by_every_command(tmp_path: Path) -> None:
    good, bad = f"{EVIL}.yaml", f"{EVIL}-bad.yaml"
    (tmp_path / good).write_text(STRATEGY, encoding="utf-8")
    (tmp_path / bad).write_text(STRATEGY.replace("close > fast", "close > sow"), encoding="utf-8")
    (tmp_path / f"{EVIL}.csv").write_text("timestamp,open\n1,2\n", encoding="utf-8")
    out = f"{EVIL}-out"
    commands = [
        ["check", good], ["check", bad], ["check", EVIL], ["explain", good], ["explain", bad],
        ["run", good, "--fast", "--out", out], ["run", bad], ["run", EVIL],
        ["init", f"{EVIL}-new"], ["init", f"{EVIL}-new"], ["schema", "--out", f"{EVIL}.json"],
        ["data", "check", good], ["data", "check", EVIL], ["data", "list"],
        ["data", "import", f"{EVIL}.csv", "--source", "x", "--symbol", EVIL, "--bar", "1h"],
        ["sweep", good], ["sweep", EVIL], ["train", good], ["train", EVIL],
        ["runs", "list", out], ["runs", "list", EVIL], ["runs", "show", EVIL],
        ["runs", "diff", EVIL, EVIL], ["report", EVIL], ["halt", EVIL], ["resume", EVIL],
        ["replay", EVIL], ["drill", EVIL], ["why", EVIL, EVIL], ["why", EVIL, "--run", EVIL],
        ["plugins", "list"], ["plugins", "show", EVIL], ["plugins", "new", f"{EVIL}-package"],
        ["plugins", "check", EVIL], [EVIL], ["run", good, f"--{EVIL}"],
        ["run", good, "--set", f"{EVIL}=1"],
    ]  # fmt: skip
    seen = on_a_terminal(tmp_path, commands)
    require_shown(seen, commands)
    assert "\x1b[32m\x1b[1mok\x1b[0m: \\x1b[35mevil" in seen
    assert "wrote \\x1b[35mevil" in seen


PRINTS = f'''
from septet.plugin import Config
from septet.plugin.live import monitor

print({EVIL!r} + "imported")


class Plain(Config):
    """Nothing to set."""


@monitor(Plain)
class Loud:
    def __init__(self, config):
        print({EVIL!r} + "built\\nsecond")

    def read(self, run):
        print({EVIL!r} + "read", end="")
        return []
'''


def test_what_a_plugin_prints_is_shown_behind_its_name(tmp_path: Path) -> None:
    manifest = manifest_of("odd_loud", {"Loud": ("monitoring", "monitor")})
    write_package(tmp_path, "odd-loud", {"steps.py": PRINTS, "manifest.py": manifest})
    broken = f"raise ValueError({EVIL!r})\n"
    write_package(tmp_path, "odd-broken", {"steps.py": "", "manifest.py": broken})
    text = STRATEGY + "plugins: [odd-loud]\nmonitoring: {loud: {use: Loud}}\n"
    (tmp_path / "loud.yaml").write_text(text, encoding="utf-8")
    commands = [
        ["plugins", "list"], ["plugins", "check", "odd-loud"], ["plugins", "show", "Loud"],
        ["check", "loud.yaml", "--unchecked"], ["run", "loud.yaml", "--unchecked", "--out", "o"],
    ]  # fmt: skip
    seen = on_a_terminal(tmp_path, commands)
    require_shown(seen, commands)
    assert "odd-broken cannot be loaded: " in seen
    lines = [each for each in seen.replace("\r", "").splitlines() if "ximported" in each]
    assert lines
    assert all(each.startswith("odd_loud: \\x1b[35mevil") for each in lines), lines
    assert "odd_loud: second" in seen
