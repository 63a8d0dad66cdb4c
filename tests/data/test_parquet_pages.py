"""A Parquet file whose counts contradict it is refused before the reader relies on them."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from septet._data.parquet_bounds import columns_within_memory
from septet._data.parquet_pages import check_pages
from septet._data.source_files import read_parquet_file, scan_parquet_file
from septet.errors import DataError
from tests.scale import examples


def _frame(rows: int = 28) -> pl.DataFrame:
    symbols = pl.Series("symbol", ["BTC/USD"] * rows, pl.Categorical)
    return pl.DataFrame(
        {
            "symbol": symbols,
            "time": range(rows),
            "price": [each / 3 if each % 5 else None for each in range(rows)],
            "text": [f"row {each}" for each in range(rows)],
            "flag": [each % 2 == 0 for each in range(rows)],
            "many": [[1, 2]] * rows,
        }
    )


def _kinds(folder: Path) -> Iterator[Path]:
    for number, (rows, options) in enumerate(
        [
            (28, {}), (0, {}), (1, {"compression": "uncompressed"}),
            (5_000, {"row_group_size": 700}), (3_000, {"data_page_size": 512}),
            (40, {"statistics": False, "compression": "snappy"}),
        ]
    ):  # fmt: skip
        path = folder / f"{number}.parquet"
        _frame(rows).write_parquet(path, **options)  # type: ignore[arg-type]
        yield path


def test_what_polars_writes_is_accepted(tmp_path: Path) -> None:
    for path in _kinds(tmp_path):
        check_pages(path)
        assert pl.read_parquet(path).columns == _frame(1).columns


def _with_values(path: Path, byte: int) -> None:
    """Change how many values the first data page states: `2c 15 VALUES` in its head."""
    data = bytearray(path.read_bytes())
    at = data.index(b"\x2c\x15") + 2
    data[at] = byte
    path.write_bytes(data)


@pytest.mark.parametrize("byte", [0x2F, 0x01, 0x7F, 0x3A])
def test_a_page_of_other_counts_ends_as_a_message(tmp_path: Path, byte: int) -> None:
    """Below zero polars asked for 2**61 bytes, and the process was gone."""
    path = tmp_path / "x.parquet"
    _frame().write_parquet(path)
    _with_values(path, byte)
    for read in (read_parquet_file, scan_parquet_file, columns_within_memory):
        with pytest.raises(DataError, match=r"a page states that it holds|a column lacks"):
            read(path)


def test_the_reader_itself_is_gone_by_such_a_page(tmp_path: Path) -> None:
    """Why it is not left to the reader; if this fails, polars reports it by itself."""
    path = tmp_path / "x.parquet"
    _frame().write_parquet(path)
    _with_values(path, 0x2F)
    code = f"import polars; polars.read_parquet({str(path)!r}, columns=['symbol'])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert ended.returncode != 0


def test_damage_never_ends_the_process(tmp_path: Path) -> None:
    """Damaged bytes are refused here, refused by the reader, or read."""
    path = tmp_path / "x.parquet"
    files = [each.read_bytes() for each in _kinds(tmp_path)]
    refused = 0
    for seed in range(examples(400)):
        draw = random.Random(seed)
        data = bytearray(draw.choice(files))
        span = draw.choice([len(data), min(300, len(data))])
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(span)
            data[at if draw.randrange(2) else -1 - at] = draw.randrange(256)
        path.write_bytes(data[: draw.choice([len(data), len(data), draw.randrange(len(data))])])
        try:
            read_parquet_file(path)
        except DataError:
            refused += 1
    assert refused > examples(400) // 3


def test_a_description_that_is_longer_than_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    _frame().write_parquet(path)
    data = bytearray(path.read_bytes())
    for length in (2**31, len(data), len(data) - 8):
        path.write_bytes(data[:-8] + length.to_bytes(4, "little") + b"PAR1")
        with pytest.raises(ValueError, match="description"):
            check_pages(path)
    for text in (b"", b"PAR1", b"PAR1PAR1", b"x" * 100):
        path.write_bytes(text)
        with pytest.raises(ValueError, match="does not end as a Parquet file does"):
            check_pages(path)


def test_columns_that_are_asked_for_are_counted(tmp_path: Path) -> None:
    """A planted file of constants: one column of it may be read, and all of it may not."""
    path = tmp_path / "x.parquet"
    rows = 12_000_000
    constants = {f"c{each}": pl.repeat(1.0, rows, eager=True) for each in range(8)}
    pl.DataFrame(constants).write_parquet(path)
    assert path.stat().st_size < 2_000_000
    with pytest.raises(DataError, match=r"12,000,000 rows of 8 columns"):
        columns_within_memory(path)
    assert columns_within_memory(path, ["c3"]) == ["c3"]


_PEAK = """
import sys
from pathlib import Path
from septet.errors import SeptetError
from septet._data import source_files, parquet_bounds
path, *reads = sys.argv[1:]
room, place = dict(vars(source_files)) | dict(vars(parquet_bounds)), Path(path)
for read in reads:
    try:
        room[read](place)
    except SeptetError as error:
        print(error.message)
peak = next(each for each in open("/proc/self/status") if each.startswith("VmHWM"))
print(int(peak.split()[1]) // 1024)
"""


def _peak(path: Path, *reads: str) -> tuple[list[str], int]:
    """Return what reading a file reports, and the most memory of its process in megabytes."""
    code = [sys.executable, "-c", _PEAK, str(path), *reads]
    ended = subprocess.run(code, capture_output=True, text=True, check=True)
    *messages, megabytes = ended.stdout.splitlines()
    return messages, int(megabytes)


def _repeated(path: Path, kind: pl.DataType) -> Path:
    text = "x" * 5_000_000
    kind = pl.Enum([text]) if kind == pl.Enum else kind
    one = pl.Series("time", [text], dtype=kind)
    one.new_from_index(0, 200).to_frame().write_parquet(path)
    return path


@pytest.mark.parametrize("kind", [pl.Categorical, pl.Enum, pl.String], ids=str)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_a_long_text_that_is_stored_once_is_not_copied(tmp_path: Path, kind: pl.DataType) -> None:
    """Nine kilobytes took nine gigabytes: the text was written out for each row."""
    path = _repeated(tmp_path / "x.parquet", kind)
    reads = ("read_parquet_file", "scan_parquet_file", "columns_within_memory")
    messages, megabytes = _peak(path, *reads)
    found = ["column 'time' holds texts of 5,000,000 bytes" in each for each in messages]
    assert found == [True, True, True]
    assert megabytes < 300


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_a_text_that_unpacks_to_more_than_memory_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    one = pl.Series("time", ["x" * 60_000_000])
    one.new_from_index(0, 10).to_frame().write_parquet(path, row_group_size=1)
    assert path.stat().st_size < 1_000_000
    (message,), megabytes = _peak(path, "read_parquet_file")
    assert "10 rows of 1 columns" in message
    assert megabytes < 300


def test_long_texts_of_columns_that_are_not_read_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    note = pl.Series(["x" * 5_000_000]).new_from_index(0, 200)
    nested = pl.DataFrame({"note": note, "price": range(200)}).select(
        "price", pl.struct("note").alias("inside")
    )
    nested.write_parquet(path)
    assert read_parquet_file(path).columns == ["price"]
    assert columns_within_memory(path, ["price"]) == ["price"]


def test_columns_are_counted_under_their_own_names(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    _frame(100).write_parquet(path, row_group_size=30)
    found = check_pages(path)
    sizes = found.columns
    assert found.rows == 100  # in four groups
    assert list(sizes) == _frame(1).columns
    assert [name for name, each in sizes.items() if each.is_text] == ["symbol", "text"]
    data = path.read_bytes()
    at = data.rindex(b"price")  # in its column's own description
    path.write_bytes(data[:at] + b"other" + data[at + 5 :])
    with pytest.raises(ValueError, match="other columns than the file"):
        check_pages(path)


def test_many_short_texts_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    texts = [f"2024-01-01 {each}" for each in range(60_000)]
    frame = pl.DataFrame({"time": texts, "same": pl.Series(texts, dtype=pl.Categorical)})
    frame.write_parquet(path)
    assert read_parquet_file(path).height == 60_000
    assert scan_parquet_file(path).collect().height == 60_000
