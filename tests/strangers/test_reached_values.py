"""Every value that a plugin reads by a name is in the digest that names plans and verdicts."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from septet._config.load import load
from septet._config.plugin_verdicts import plugin_sources
from septet._host.plugin_registry import Host
from septet._host.sources import packages_of, source_digest
from septet._plan.cache import plan_name
from septet.errors import PluginError
from septet.testing.static import faults_of
from tests.strangers.package import STRATEGY, installed, manifest_of, write_package

HEAD = """\
import json, math
from functools import partial
from pathlib import Path
from septet.plugin import Config, Input, feature
from septet.plugin.data import candles
from septet.plugin.numeric import helper

class C(Config):
    of: Input = "close"
"""
BODIES = {
    "a number by its name": """
        from numbers_of_others.k import G
        @feature(C)
        def step(i, of):
            return of[i] * G
        """,
    "a number under another name, in a helper": """
        from numbers_of_others.k import G as SCALE
        @helper
        def scaled(x):
            return x * SCALE
        @feature(C)
        def step(i, of):
            return scaled(of[i])
        """,
    "a number of a module": """
        import numbers_of_others.k
        @feature(C)
        def step(i, of):
            return of[i] * numbers_of_others.k.G
        """,
    "a number of a number of a third file": """
        from plugin_of_values.between import HALF
        @feature(C)
        def step(i, of):
            return of[i] * HALF
        """,
    "a tuple": """
        from numbers_of_others.k import T
        @feature(C)
        def step(i, of):
            return of[i] * T[1]
        """,
    "a default argument of a helper": """
        from numbers_of_others.k import G
        @helper
        def scaled(x, by=G):
            return x * by
        @feature(C)
        def step(i, of):
            return scaled(of[i])
        """,
    "a variable of an outer function": """
        from numbers_of_others.k import G
        def made(by):
            def step(i, of):
                return of[i] * by
            return step
        step = feature(C)(made(G))
        """,
    "an attribute of a class": """
        from numbers_of_others.k import G
        class Box:
            by = G
        @feature(C, compiled=False)
        def step(i, of):
            return of[i] * Box.by
        """,
    "a field of an object": """
        from numbers_of_others.k import P
        @feature(C, compiled=False)
        def step(i, of):
            return of[i] * P.by
        """,
    "a property of the settings": """
        from numbers_of_others.k import G
        class D(C):
            @property
            def by(self):
                return float(G)
        @feature(D)
        def step(i, of, by):
            return of[i] * by
        """,
    "a look-back": """
        from numbers_of_others.k import G
        @feature(C, lookback=lambda c: int(G))
        def step(i, of):
            return of[i]
        """,
    "a map that a declaration reads": """
        from numbers_of_others.k import M
        @feature(C, lookback=lambda c: M["bars"])
        def step(i, of):
            return of[i]
        """,
    "an array in a look-back": """
        from numbers_of_others.k import A
        @feature(C, lookback=lambda c: int(A[0]))
        def step(i, of):
            return of[i]
        """,
    "an argument of a partial function": """
        from numbers_of_others.k import G
        def back(by, config):
            return int(by)
        @feature(C, lookback=partial(back, G))
        def step(i, of):
            return of[i]
        """,
    "a number read from a file at import": """
        G = json.loads((Path(__file__).parents[1] / "numbers_of_others/g.json").read_text())
        @feature(C)
        def step(i, of):
            return of[i] * G
        """,
    "a number that a source reads": """
        from numbers_of_others.k import G
        @candles(C)
        class step:
            def __init__(self, config):
                pass
            def read(self, request):
                return [G]
        """,
    "a list that a source reads": """
        from numbers_of_others.k import L
        @candles(C)
        class step:
            def __init__(self, config):
                pass
            def read(self, request):
                return L
        """,
}
K = """\
import numpy as np
from dataclasses import dataclass
G = {0}.0
T = (0.0, {0}.0)
L = [{0}.0]
M = {{"bars": {0}}}
A = np.array([{0}.0])
@dataclass(frozen=True)
class Pair:
    by: float
P = Pair({0}.0)
"""
PACKAGES = ("plugin_of_values", "numbers_of_others")


def written(folder: Path, body: str, number: int) -> None:
    """Write the plugin's package, and the package of numbers beside it."""
    write_package(
        folder, "plugin-of-values",
        {
            "manifest.py": manifest_of("plugin_of_values", {"step": ("features", "feature")}),
            "steps.py": HEAD + textwrap.dedent(body),
            "between.py": "from numbers_of_others.k import G\nHALF = G / 2\n",
        },
    )  # fmt: skip
    others = folder / "numbers_of_others"
    others.mkdir(exist_ok=True)
    (others / "__init__.py").write_text("", encoding="utf-8")
    (others / "k.py").write_text(K.format(number), encoding="utf-8")
    (others / "g.json").write_text(json.dumps(float(number)), encoding="utf-8")


def digests(folder: Path, body: str, number: int) -> dict[str, str]:
    """Return what names a plugin's verdict and its plan, as a new process would."""
    written(folder, body, number)
    with installed(folder, *PACKAGES):
        step = importlib.import_module("plugin_of_values.steps").step
        found = {"source": source_digest(step)}
        if step.kind == "feature":
            found["plan"] = plan_name("text", [(step, "")])
        return found


@pytest.mark.parametrize("name", BODIES)
def test_a_value_of_another_package_is_in_every_digest(tmp_path, name):
    one = digests(tmp_path, BODIES[name], 1)
    assert digests(tmp_path, BODIES[name], 1) == one
    other = digests(tmp_path, BODIES[name], 3)
    assert {key for key in one if one[key] == other[key]} == set()


def test_the_digest_is_the_same_in_another_process(tmp_path):
    words = 'WORDS = frozenset({"a", "b", "c", "d"})\n'
    body = words + textwrap.dedent(BODIES["a field of an object"])
    body = body.replace("P.by", "P.by * len(WORDS)")
    one = digests(tmp_path, body, 1)["source"]
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from plugin_of_values.steps import step\n"
        "from septet._host.sources import source_digest\n"
        "print(source_digest(step))\n"
    )
    for seed in ("1", "2"):
        ran = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        )  # fmt: skip
        assert ran.stdout.strip() == one


def test_a_package_that_a_plugin_takes_numbers_from_counts_as_its_own(tmp_path):
    written(tmp_path, BODIES["a number by its name"], 1)
    with installed(tmp_path, *PACKAGES):
        step = importlib.import_module("plugin_of_values.steps").step
        assert packages_of(step) == ("numbers_of_others", "plugin_of_values")


def test_what_a_run_records_of_its_sources_holds_the_values(tmp_path):
    path = tmp_path / "s.yaml"
    text = STRATEGY.format(plugins="plugins: [plugin-of-values]", feature="{use: step}")
    path.write_text(text, encoding="utf-8")
    found = []
    for number in (1, 1, 3):
        written(tmp_path, BODIES["a number read from a file at import"], number)
        with installed(tmp_path, *PACKAGES):
            host = Host()
            loaded = load(path, host=host, unchecked=True)
            found.append(plugin_sources(loaded.strategy, host)["plugin-of-values"])
    assert found[0] == found[1] != found[2]


def test_a_value_without_a_hash_is_refused_with_its_line(tmp_path):
    body = """
        import threading
        LOCK = threading.Lock()
        def back(config):
            with LOCK:
                return 0
        @feature(C, lookback=back)
        def step(i, of):
            return of[i]
        """
    written(tmp_path, body, 1)
    with installed(tmp_path, *PACKAGES):
        step = importlib.import_module("plugin_of_values.steps").step
        line = (HEAD + textwrap.dedent(body)).splitlines().index("    with LOCK:") + 1
        assert [str(each) for each in faults_of(step)] == [
            f"{tmp_path}/plugin_of_values/steps.py:{line}: LOCK is a _thread.lock, of which no "
            "hash can be made"
        ]
        with pytest.raises(PluginError, match=rf"steps.py:{line}: LOCK is a _thread.lock"):
            plan_name("text", [(step, "")])


def test_what_a_source_keeps_for_itself_changes_no_digest(tmp_path):
    body = """
        import logging
        LOG, KEPT = logging.getLogger("x"), {}
        @candles(C)
        class step:
            def __init__(self, config):
                pass
            def read(self, request):
                LOG.info("read")
                return KEPT.setdefault(request, [])
        """
    written(tmp_path, body, 1)
    with installed(tmp_path, *PACKAGES):
        steps = importlib.import_module("plugin_of_values.steps")
        before = source_digest(steps.step)
        steps.KEPT["a"] = [1]
        assert source_digest(steps.step) == before
