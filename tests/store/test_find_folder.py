"""One way to find a run: `runs show` and `halt` mean the same folder by the same words."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from septet._store.find_runs import find_folder
from septet.errors import InputError

OLD, NEW = "20260101T000000Z-abcdef", "20260102T000000Z-abcd99"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for strategy, run_id in (("cross", OLD), ("trend", NEW)):
        folder = tmp_path / "runs" / strategy / run_id
        folder.mkdir(parents=True)
        (folder / "journal.sqlite").write_bytes(b"damaged")
        (folder / "manifest.json").write_text(json.dumps({"run_id": run_id}))
    return tmp_path / "runs"


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize(
    ("reference", "found"),
    [("latest", NEW), ("cross", OLD), (OLD, OLD), (OLD[:10], OLD), ("20260102", NEW)],
)
def test_words_mean_one_folder(root: Path, reference: str, found: str, live: bool) -> None:
    assert find_folder(reference, root, live=live).name == found


@pytest.mark.parametrize("live", [True, False])
def test_of_copies_of_a_run_the_one_in_use_is_meant(root: Path, live: bool) -> None:
    folder = root / "cross" / OLD
    copy = folder.parent / "before"
    shutil.copytree(folder, copy)
    for used, other in ((folder, copy), (copy, folder)):
        os.utime(used / "journal.sqlite", ns=(10**18 + 10**9, 10**18 + 10**9))
        os.utime(other / "journal.sqlite", ns=(10**18, 10**18))
        assert find_folder(OLD[:12], root, live=live) == used
    assert find_folder("before", root, live=live) == copy


@pytest.mark.parametrize("live", [True, False])
def test_what_fits_two_runs_is_refused_with_both(root: Path, live: bool) -> None:
    with pytest.raises(InputError, match="'202601' fits 2 runs") as refused:
        find_folder("202601", root, live=live)
    assert OLD in refused.value.message
    assert NEW in refused.value.message


def test_only_a_paper_or_live_run_can_be_halted(root: Path) -> None:
    (root / "cross" / OLD / "journal.sqlite").unlink()
    assert find_folder("cross", root).name == OLD
    with pytest.raises(InputError, match="no paper or live run is called 'cross'"):
        find_folder("cross", root, live=True)
    (root / "cross" / OLD / "log.jsonl").write_text("")
    assert find_folder("cross", root, live=True).name == OLD
