"""Machine code kept beside the cache: the same bits, without the compiler, and never stale."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from septet._plan import cache, native

TEXT = textwrap.dedent(
    """
    import math

    from septet._plan.compiled import entry

    @entry("int64(int64, int64, float64[:, ::1], int64[::1])")
    def observe(t0, t1, F, C):
        for t in range(t0, t1):
            F[1, t] = math.sin(F[0, t]) + math.log(F[0, t]) / (F[0, t] - 2.0) % 0.7
        return t1

    @entry("int64(int64, int64, float64[:, ::1], int64[::1])")
    def trade(t0, t1, F, C):
        for t in range(t0, t1):
            if t >= F.shape[1]:
                return t
            C[0] += 1 if F[1, t] > 0.0 else 0
        return t1
    """
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A plan that was compiled by this process."""
    place = tmp_path_factory.mktemp("native") / "plans"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEPTET_CACHE", str(place))
        cache.load_text(TEXT, "plan_native")
    yield place / "plan_native"
    sys.modules.pop("plan_native", None)


@pytest.fixture
def copied(folder, tmp_path, monkeypatch):
    """A copy of it that a test may spoil."""
    monkeypatch.setenv("SEPTET_CACHE", str(tmp_path))
    copy = tmp_path / "plan_native"
    copy.mkdir()
    for each in folder.glob("*.code"):
        (copy / each.name).write_bytes(each.read_bytes())
    return copy


def arrays(seed: int = 3):
    features = np.zeros((2, 500))
    features[0] = np.random.default_rng(seed).uniform(0.1, 9.0, 500)
    return features, np.zeros(2, np.int64)


def test_it_computes_the_bits_of_the_compiled_module(folder):
    entries, module = native.load(folder), sys.modules["plan_native"]
    assert entries is not None
    for _ in range(2):  # other arrays, the same code
        (first, counted), (second, other) = arrays(), arrays()
        assert (
            entries.observe(3, 480, first, counted) == module.observe(3, 480, second, other) == 480
        )
        assert entries.trade(3, 480, first, counted) == module.trade(3, 480, second, other) == 480
        assert first.tobytes() == second.tobytes()
        assert counted.tolist() == other.tolist()
        assert counted[0] > 0


def test_it_stops_where_the_entry_stops(folder):
    entries = native.load(folder)
    assert entries is not None
    features, state = arrays()
    assert entries.trade(0, 900, features, state) == 500


def test_a_process_that_links_it_never_imports_the_compiler(folder):
    program = textwrap.dedent("""
        import sys
        import numpy as np
        from septet._plan.cache import load_entries
        F, C = np.ones((2, 8)), np.zeros(2, np.int64)
        print(load_entries("plan_native").observe(0, 8, F, C), "numba" in sys.modules)
    """)
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**_environment(), "SEPTET_CACHE": str(folder.parent)},
    )
    assert done.stdout.split() == ["8", "False"]


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}


@pytest.mark.parametrize("spoil", ["begin", "middle", "end", "empty"])
def test_damaged_code_is_reported_and_never_run(copied, spoil):
    (path,) = copied.glob("*.code")
    data = bytearray(path.read_bytes())
    if spoil == "empty":
        data.clear()
    else:
        place = {"begin": 3, "middle": len(data) // 2, "end": len(data) - 1}[spoil]
        data[place] ^= 0xFF
    path.write_bytes(bytes(data))
    logged: list[str] = []
    assert cache.load_entries("plan_native", logged.append) is None
    assert "is damaged" in logged[0]
    assert not list(copied.glob("*.code"))  # so that it is compiled again, whole


def test_nothing_kept_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setenv("SEPTET_CACHE", str(tmp_path))
    assert cache.load_entries("plan_native") is None


def test_code_for_another_processor_is_not_looked_at(copied):
    (path,) = copied.glob("*.code")
    path.rename(path.with_name("plan_native.0123456789ab.code"))
    assert cache.load_entries("plan_native") is None
    assert copied.exists()


def test_settings_of_the_compiler_are_respected(copied, monkeypatch):
    assert cache.load_entries("plan_native") is not None
    monkeypatch.setenv("NUMBA_OPT", "0")
    assert cache.load_entries("plan_native") is None


def test_a_place_that_cannot_be_written_costs_nothing_but_time(folder, tmp_path):
    missing = tmp_path / "nowhere"
    native.keep(sys.modules["plan_native"], missing)
    assert not missing.exists()
