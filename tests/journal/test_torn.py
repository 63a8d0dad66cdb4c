"""A torn end is cut back and reported; a corrupt middle is refused; nothing is lost in silence."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest

from septet._journal.journal_writer import Journal
from septet._journal.reader import Reader
from septet.errors import JournalError
from tests.journal.drawn import bar, filled

PAGE = 4_096
FRAME = PAGE + 24
ENTRIES = 60
COPIES = itertools.count()


def _reopened(path: Path) -> tuple[str, int]:
    """Open for writing: refused, or good up to an entry, the rest reported as gone."""
    try:
        with Journal.open(path) as journal:
            last = journal.findings.last
            assert [entry.seq for entry in journal.read()] == list(range(1, last + 1))
            assert journal.findings.lost == ENTRIES - last
            assert journal.append(bar(last + 1), ()) == last + 1
            journal.commit()
            assert journal.verify().ok
    except JournalError as refused:
        return refused.message, 0
    with Journal.open(path) as journal:  # and once again it is whole
        assert journal.findings.ok
    return "", last


def _spoiled(folder: Path, suffix: str, first: int, last: int | None) -> Path:
    """Copy the journal; cut a file at `first`, or zero it up to `last`."""
    name = folder.with_name(f"{folder.name}{suffix}-{next(COPIES)}")
    shutil.copytree(folder, name)
    path = name / f"j{suffix}"
    data = path.read_bytes()
    path.write_bytes(
        data[:first] if last is None else data[:first] + bytes(last - first) + data[last:]
    )
    return name / "j"


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal at rest: all of it in the database."""
    folder = tmp_path_factory.mktemp("closed") / "run"
    folder.mkdir()
    filled(folder / "j", ENTRIES, text="x" * 700).close()
    return folder


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal as a killed process leaves it: part of it in the write-ahead log."""
    folder = tmp_path_factory.mktemp("killed") / "run"
    (folder / "live").mkdir(parents=True)
    with filled(folder / "live" / "j", ENTRIES // 2, text="x" * 700) as journal:
        journal._log_bytes = 1 << 30
        journal.checkpoint_if_idle()
        for number in range(ENTRIES // 2 + 1, ENTRIES + 1):
            journal.append(bar(number), ())
            journal.commit()
            journal.move()
        shutil.copytree(folder / "live", folder / "killed")
    return folder / "killed"


def test_a_database_cut_anywhere(closed: Path) -> None:
    pages = (closed / "j").stat().st_size // PAGE
    good = []
    for page in range(pages):
        refused, last = _reopened(_spoiled(closed, "", page * PAGE, None))
        assert refused or last < ENTRIES
        good.append(last)
    assert good == sorted(good)
    assert good[-1] > ENTRIES // 2


def test_a_database_with_a_page_of_zeros(closed: Path) -> None:
    pages = (closed / "j").stat().st_size // PAGE
    outcomes: list[str | int] = []
    for page in range(pages):
        refused, last = _reopened(_spoiled(closed, "", page * PAGE, (page + 1) * PAGE))
        outcomes.append(refused or last)
    assert isinstance(outcomes[-1], int)
    assert ENTRIES // 2 < outcomes[-1] < ENTRIES
    corrupt = [each for each in outcomes if "the middle of the journal is corrupt" in str(each)]
    assert len(corrupt) > 5


def test_a_log_cut_anywhere(killed: Path) -> None:
    size = (killed / "j-wal").stat().st_size
    good = []
    for cut in sorted({*range(0, size, PAGE), *range(32, size, FRAME), *range(50, size, FRAME)}):
        refused, last = _reopened(_spoiled(killed, "-wal", cut, None))
        assert not refused
        good.append(last)
    assert good == sorted(good)
    assert (good[0], good[-1]) == (ENTRIES // 2, ENTRIES)


def test_a_log_with_a_frame_of_zeros(killed: Path) -> None:
    size = (killed / "j-wal").stat().st_size
    for first in range(32, size, FRAME):
        refused, last = _reopened(_spoiled(killed, "-wal", first, min(first + FRAME, size)))
        assert not refused
        assert ENTRIES // 2 <= last <= ENTRIES


def test_the_damaged_file_is_kept(closed: Path) -> None:
    size = (closed / "j").stat().st_size
    path = _spoiled(closed, "", size - PAGE, size)
    damaged = path.read_bytes()
    with Journal.open(path) as journal:
        assert journal.findings.torn
        assert Path(journal.findings.kept).read_bytes() == damaged


def test_a_large_entry_torn_in_the_middle(tmp_path: Path) -> None:
    """Its page is there and some of those that follow it are not."""
    with filled(tmp_path / "j", 5) as journal:
        journal.append(b'{"kind":"ticked","at_ns":9,"market_ns":9}', b'["' + b"x" * 50_000 + b'"]')
        journal.commit()
    data = bytearray((tmp_path / "j").read_bytes())
    place = data.rindex(b"x" * 1_000)
    page = place // PAGE * PAGE
    data[page : page + PAGE] = bytes(PAGE)
    (tmp_path / "j").write_bytes(data)
    with Journal.open(tmp_path / "j") as journal:
        assert (journal.findings.last, journal.findings.lost) == (5, 1)


def test_a_killed_journal_can_be_read_without_being_opened(killed: Path) -> None:
    folder = killed.with_name("read")
    shutil.copytree(killed, folder)
    with Reader(folder / "j") as reader:
        assert reader.last_seq == ENTRIES
