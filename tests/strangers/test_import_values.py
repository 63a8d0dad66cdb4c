"""What a plugin makes at import, or of its process, is compared with that of other processes."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from septet._child_process import ChildProcess
from septet._config import load
from septet.errors import ConfigError
from septet.testing import other_process
from septet.testing.other_process import keep_processes
from septet.testing.verdict import Check, decisive, state_of
from tests.strangers.package import STRATEGY, installed, manifest_of, write_package
from tests.strangers.steps import HEAD

ALIKE = "alike in every process"
MADE = {
    "a hash": 'SHIFT = (hash("a name of some length") % 9973 - 3) * 0.001\n',
    "the order of a set": "SHIFT = 0.0\n"
    "for name in {'a', 'bb', 'ccc', 'dddd', 'eeeee', 'ffffff'}:\n"
    "    SHIFT = 7.0 * SHIFT + len(name)\n",
    "the process": "import os\nSHIFT = float(os.getpid())\n",
    "the time": "SHIFT = time.time()\n",
    "the day": "SHIFT = float(time.time() // 86400)\n",
    "today": "import datetime\nSHIFT = float(datetime.date.today().toordinal())\n",
    "the year": "from datetime import datetime\nSHIFT = float(datetime.now().year * 12 + "
    "datetime.now().month)\n",
    "the hour": "SHIFT = float(time.localtime().tm_hour)\n",
    "a time as text": "SHIFT = float(time.strftime('%Y%m'))\n",
    "a variable that is not set": "import os\nSHIFT = float(os.environ.get('ODD_FACTOR', '1'))\n",
    "a variable that is set": "import os\nSHIFT = float(len(os.environ['PATH']))\n",
    "the working folder": "import os\nSHIFT = float(len(os.getcwd()))\n",
    "the arguments": "import sys\nSHIFT = float(len(repr(sys.argv)))\n",
}  # fmt: skip
FEATURE = "\n@feature(Plain)\ndef broken(i, close, share):\n    return close[i] * (1.0 + SHIFT)\n"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEPTET_CACHE", str(tmp_path / "cache"))


def tried(folder: Path, source: str, names: Sequence[str] = ()) -> tuple[Check, ...]:
    files = {"steps.py": f"{HEAD}\n{source}\n# {folder}\n", "manifest.py": ""}
    write_package(folder, "odd-values", files)
    with installed(folder, "odd_values"):
        module: Any = importlib.import_module("odd_values.steps")
        return decisive(module.broken, module.broken.config(), names=names)


def failure(checks: tuple[Check, ...]) -> str:
    (wrong,) = (each for each in checks if each.state == "failed")
    return f"{wrong.name}: {wrong.message}"


@pytest.mark.parametrize("case", MADE)
def test_a_compiled_feature_that_holds_it_is_refused_with_its_line(
    tmp_path: Path, case: str
) -> None:
    found_fault = failure(tried(tmp_path, MADE[case] + FEATURE))
    assert found_fault.startswith(f"{ALIKE}: ")
    lines = f"{HEAD}\n{MADE[case]}".splitlines()
    number = max(n for n, each in enumerate(lines, 1) if "SHIFT = " in each)
    assert f"steps.py:{number}: SHIFT is " in found_fault
    assert "here and " in found_fault
    assert "in another process: it is made at import" in found_fault


RULES = {
    "sizing": "@sizing(Plain)\ndef broken(price, equity):\n"
    "    return equity / price / (2.0 + abs(SHIFT))\n",
    "limit": "@limit(Plain)\ndef broken(requested):\n"
    "    return abs(requested) / (1.0 + abs(SHIFT))\n",
    "stop": "@stop(Plain)\ndef broken(average_price, side):\n"
    "    return average_price * (1.0 - side * 0.5 / (1.0 + abs(SHIFT)))\n",
    "halt": "@halt(Plain)\ndef broken(equity, peak):\n"
    "    return equity < peak * (0.5 + 0.1 / (1.0 + abs(SHIFT)))\n",
    "signal": "@signal(Over, reasons=('a',))\ndef broken(of):\n"
    "    return 1.0, 1.0 / (1.0 + abs(SHIFT)), 0.0\n",
    "order": "from septet.plugin import order\n@order(Plain)\ndef broken(side, price):\n"
    "    return price * (1.0 + 0.001 / (1.0 + abs(SHIFT))), math.nan\n",
}  # fmt: skip


@pytest.mark.parametrize("kind", RULES)
def test_a_compiled_rule_is_compared(tmp_path: Path, kind: str) -> None:
    found_fault = failure(tried(tmp_path, MADE["a hash"] + "\n" + RULES[kind]))
    assert found_fault.startswith(f"{ALIKE}: ")
    assert ": SHIFT is " in found_fault


ELSEWHERE = {
    "a default argument": "@helper\ndef shifted(x, by=float(time.time() // 86400)):\n"
    "    return x + by\n\n@feature(Plain)\ndef broken(i, close, share):\n"
    "    return shifted(close[i])\n",
    "a look-back": "DAYS = int(time.time() // 86400) % 89\n\n"
    "@feature(Plain, lookback=lambda config: DAYS)\ndef broken(i, close, share):\n"
    "    return close[i]\n",
    "a default of a setting": "class Dated(Config):\n    '''Has a number.'''\n\n"
    "    share: Fraction = (time.time() // 86400 % 89) / 100.0\n\n@feature(Dated)\n"
    "def broken(i, close, share):\n    return close[i] * share\n",
    "names of labels": "from septet.plugin import regime\n"
    "LABELS = tuple({'a', 'bb', 'ccc', 'dddd', 'eeeee', 'ffffff', 'g'})\n\n"
    "@regime(Over, reasons=LABELS)\n"
    "def broken(i, of):\n    return 1.0 if of[i] > 100.0 else 0.0\n",
}  # fmt: skip


@pytest.mark.parametrize("case", ELSEWHERE)
def test_values_that_are_no_constants_of_the_step_are_compared(tmp_path: Path, case: str) -> None:
    assert failure(tried(tmp_path, ELSEWHERE[case])).startswith(f"{ALIKE}: ")


SOURCE = """
from septet.plugin.data import Facts, RawBars, candles

{made}

@candles(Plain)
class broken:
    def __init__(self, config):
        self.config = config

    def read(self, request):
        return [self.one(symbol, request) for symbol in request.symbols]

    def one(self, symbol, request):
        import polars as pl
        base = {base}
        step = pl.int_range(400, eager=True)
        price = 100.0 + base + step.cast(pl.Float64)
        columns = {{"open": price, "high": price + 1.0, "low": price, "close": price + 1.0}}
        opened = request.start_ns + step * request.bar_ns
        frame = pl.DataFrame({{"timestamp": opened, **columns, "volume": price}})
        return RawBars(symbol, frame, Facts("odd", stamp="open", calendar="24x7"))
"""
MODEL = """
from septet.plugin.model import Fitted, model

class Guess:
    format = "odd/guess"

    def __init__(self, share, width):
        self.share, self.width = share, width

    def predict(self, x):
        return np.full(len(x), self.share)

    def predict_row(self, vector):
        return self.share

    def arrays(self):
        return {{"share": np.array(self.share)}}

{made}

@model(Plain)
class broken:
    name = "guess"

    def __init__(self, config):
        self.config = config

    def fit(self, window):
        share = {base}
        return Fitted(Guess(share, window.x.shape[1]))
"""
MONITOR = """
from septet.plugin.live import Reading, monitor

{made}

@monitor(Plain)
class broken:
    def __init__(self, config):
        self.config = config

    def read(self, run):
        base = {base}
        return [Reading(int(t), "", base, 0.0, "ok", 1) for t in run.time_ns.tolist()]
"""
OBJECTS = {
    "a source": (SOURCE, "", 'hash("a name of some length") % 9973'),
    "a source at import": (SOURCE, "BASE = float(time.time() // 86400)", "BASE"),
    "a source by the day": (SOURCE, "", "float(time.time() // 86400)"),
    "a model": (MODEL, "", "0.5 + hash('a name of some length') % 9973 / 30_000.0"),
    "a model by a set": (
        MODEL, "",
        "0.5 + float(''.join(str(len(x)) for x in {'a', 'bb', 'ccc', 'dddd', 'eeeee'})) / 1e6",
    ),
    "a monitor": (MONITOR, "", "float(__import__('os').getpid())"),
    "a monitor at import": (MONITOR, "import os\nBASE = float(os.environ.get('ODD', '1'))", "BASE"),
}  # fmt: skip


@pytest.mark.parametrize("case", OBJECTS)
def test_what_an_object_answers_is_compared(tmp_path: Path, case: str) -> None:
    source, made, base = OBJECTS[case]
    found_fault = failure(tried(tmp_path, source.format(made=made, base=base)))
    assert found_fault.startswith(f"{ALIKE}: ")
    assert "two processes differ" in found_fault
    if made:
        number = (HEAD + "\n" + source.format(made=made, base=base)).splitlines()
        line = max(n for n, each in enumerate(number, 1) if each.startswith("BASE = "))
        assert f"steps.py:{line}: BASE is " in found_fault


SOUND = {
    "a constant": "SHIFT = 0.001 * len('abc')\n" + FEATURE,
    "a time that no step reads": "STARTED = time.time()\nSHIFT = 0.1\n" + FEATURE,
    "a table read beside the file": "import pathlib\nSHIFT = float(len("
    "pathlib.Path(__file__).with_name('__init__.py').read_text()))\n" + FEATURE,
    "a variable without effect": "import os\nLEVEL = os.environ.get('ODD_LEVEL', 'INFO')\n"
    "SHIFT = 0.1\n" + FEATURE,
    "a variable that must be as it is": "import os, logging\n"
    "logging.getLogger('odd').setLevel(os.environ.get('ODD_LEVEL', 'INFO'))\nSHIFT = 0.1\n"
    + FEATURE,
    "a rule": "SHIFT = 0.1\n" + RULES["sizing"],
    "a source": SOURCE.format(made="STARTED = time.time()", base="0.0 * STARTED"),
    "a model": MODEL.format(made="STARTED = time.time()", base="0.5 + 0.0 * STARTED"),
    "a monitor": MONITOR.format(made="STARTED = time.time()", base="0.0 * STARTED"),
}  # fmt: skip


@pytest.mark.parametrize("case", SOUND)
def test_what_is_alike_everywhere_is_kept(tmp_path: Path, case: str) -> None:
    checks = tried(tmp_path, SOUND[case])
    assert state_of(checks) == "kept", checks
    assert ALIKE in {each.name for each in checks}


def test_a_feature_inside_another_is_compared(tmp_path: Path) -> None:
    source = MADE["the process"] + FEATURE.replace("broken", "below")
    source += (
        "\nfrom septet.plugin import composition, inner\n\n@composition(Plain)\n"
        "def broken(config):\n    return {'': inner('below')}\n"
    )
    files = {"steps.py": f"{HEAD}\n{source}\n# {tmp_path}\n", "manifest.py": ""}
    write_package(tmp_path, "odd-values", files)
    with installed(tmp_path, "odd_values"):
        module: Any = importlib.import_module("odd_values.steps")
        checks = decisive(
            module.broken, module.broken.config(), resolve=lambda use: getattr(module, use)
        )
    assert failure(checks).startswith(f"{ALIKE}: ")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the processes that are started, beside those that all tests share."""
    started: list[int] = []
    begin = other_process._start_process

    def counting(number: int, folder: str) -> ChildProcess:
        started.append(number)
        return begin(number, folder)

    monkeypatch.setattr(other_process, "_start_process", counting)
    monkeypatch.setattr(other_process, "_kept", [])
    return started


FEATURES = "{use: sound}\n  x: {use: broken}"


def strategy_of(folder: Path, made: str) -> Path:
    steps = HEAD + made + FEATURE + FEATURE.replace("broken", "sound").replace("SHIFT", "share")
    names = dict.fromkeys(("broken", "sound"), ("features", "feature"))
    files = {"steps.py": f"{steps}\n# {folder}\n", "manifest.py": manifest_of("odd_values", names)}
    write_package(folder, "odd-values", files)
    path = folder / "strategy.yaml"
    text = STRATEGY.format(
        plugins="plugins: [odd-values]", feature="{use: sound}\n  x: {use: broken}"
    )
    path.write_text(text, encoding="utf-8")
    return path


def test_all_plugins_of_a_file_share_two_processes(tmp_path: Path, counted: list[int]) -> None:
    path = strategy_of(tmp_path, "SHIFT = 0.5\n")
    with installed(tmp_path, "odd_values"):
        found = load(path)
        assert [each.state for each in found.verdicts] == ["kept", "kept"]
        assert counted == [0, 1]
        load(path)
    assert counted == [0, 1], "what is known needs no process"


def test_a_file_is_refused_with_the_line(tmp_path: Path) -> None:
    path = strategy_of(tmp_path, "SHIFT = time.time()\n")
    with installed(tmp_path, "odd_values"), pytest.raises(ConfigError) as caught:
        load(path)
    line = len(HEAD.splitlines()) + 1
    assert f"steps.py:{line}: SHIFT is " in str(caught.value)


def test_a_process_that_ends_is_begun_again(tmp_path: Path, counted: list[int]) -> None:
    ends = "import os, sys\nif os.environ.get('PYTHONHASHSEED') == '2':\n    os._exit(3)\n"
    with keep_processes():
        found_fault = failure(tried(tmp_path / "a", ends + "SHIFT = 0.5\n" + FEATURE))
        assert "another process that calls it ends without an answer" in found_fault
        assert state_of(tried(tmp_path / "b", "SHIFT = 0.5\n" + FEATURE)) == "kept"
    assert counted == [0, 1, 0, 1]


def test_the_working_folder_of_this_process_stays(tmp_path: Path) -> None:
    before = os.getcwd(), dict(os.environ)
    assert state_of(tried(tmp_path, "SHIFT = 0.5\n" + FEATURE)) == "kept"
    assert (os.getcwd(), dict(os.environ)) == before
