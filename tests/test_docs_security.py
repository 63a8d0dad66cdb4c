"""Every number in SECURITY.md is the one in the code."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from septet._app import documents
from septet._cache_folder import claim
from septet._config import access_rights
from septet._data import parquet_bounds
from septet._data.message_limits import (
    CELL_CHARACTERS,
    CELLS_SHOWN,
    COLUMN_CHARACTERS,
    HEADER_CHARACTERS,
    SYMBOL_CHARACTERS,
    SYMBOLS_SHOWN,
)
from septet._files import LARGEST_PRIVATE, require_private
from septet._journal.journal_format import MAX_ROW_BYTES
from septet._learn.onnx_graph import LARGEST_TENSOR
from septet._store import run_folder
from septet._store.files_check import FilesFinding
from septet.errors import InputError
from septet.testing.budget import EACH_S, LIMIT_S, TOTAL_S
from septet_plugins.data import text_bytes

TEXT = (Path(__file__).resolve().parents[1] / "SECURITY.md").read_text(encoding="utf-8")
PLAIN = " ".join(re.sub(r"`[^`]*`|\]\([^)]*\)", "", TEXT).split())
"""The text in one line, without code and addresses."""
WORDS = {12: "twelve"}
PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
PROMISED = (
    f"each of at most {COLUMN_CHARACTERS} letters, digits, spaces and signs of , and together of "
    f"at most {HEADER_CHARACTERS} characters",
    f"Messages name at most {WORDS[SYMBOLS_SHOWN]} values of a column that looks like symbols, "
    f"each cut at {SYMBOL_CHARACTERS} characters",
    f"they name {CELLS_SHOWN} of each kind of defect, each cut at {CELL_CHARACTERS} characters",
    f"An address has at most {access_rights._LONGEST:,} characters, and a message shows at most "
    f"{documents.LONGEST:,} characters of any value",
    f"must be readable by you only ({PRIVATE_FILE:04o}, at most {LARGEST_PRIVATE >> 20} MiB)",
    f"readable by you only ({PRIVATE_FILE:04o}, no link, at most {LARGEST_PRIVATE >> 20} MiB)",
    f"refused before a row is read, and so is a row above {MAX_ROW_BYTES >> 20} MiB",
    f"no tensor of more than {LARGEST_TENSOR:,} values",
    f"belong to the user, and no other user can enter it (mode {PRIVATE_FOLDER:04o})",
    f"(folders {PRIVATE_FOLDER:04o}, files without rights for others)",
    f"A text in data may have at most {parquet_bounds._LONGEST_TEXT:,} bytes",
    f"A compressed text file is unpacked to at most {text_bytes._ALWAYS_UNPACKED // 10**6} MB or "
    f"{text_bytes._MOST_UNPACKED} times its size, whichever is more. Text above "
    f"{text_bytes.MAX_BYTES // 10**9} GB is refused, and so is text if {text_bytes._TIMES} times "
    "its size, which",
    f"a document of at most {run_folder._LONGEST >> 20} MiB, a strategy file of at most "
    f"{run_folder.LONGEST_TEXT >> 20} MiB",
    f"Checks of one package take {TOTAL_S:g} seconds together, and one of them {LIMIT_S:g} at "
    f"most; in packages of more than {TOTAL_S / EACH_S:g} plugins there are {EACH_S:g} seconds "
    "for each",
    f"are reported as an error message with status {InputError.exit_code}",
    f"the table is named beside it, with status {FilesFinding('', '', '').exit_status}",
)


@pytest.mark.parametrize("sentence", PROMISED)
def test_a_promise_has_the_number_of_the_code(sentence: str) -> None:
    assert sentence in PLAIN


def test_the_guide_of_plugins_gives_checks_the_same_time() -> None:
    path = Path(__file__).resolve().parents[1] / "docs" / "plugins.md"
    guide = " ".join(path.read_text(encoding="utf-8").split())
    assert f"that has not ended after {LIMIT_S:g} seconds fails" in guide
    assert (
        f"All checks of a package have {TOTAL_S:g} seconds together ({EACH_S:g} for each plugin "
        f"if it has more than {TOTAL_S / EACH_S:g})"
    ) in guide


def test_no_number_is_promised_that_is_not_compared_here() -> None:
    left = PLAIN
    for sentence in PROMISED:
        left = left.replace(sentence, "")
    words = r"two|three|four|five|six|seven|eight|ten|twelve|twenty|thirty|hundred|thousand"
    assert re.findall(rf"\d[\d,.]*|\b(?:{words})\b", left, re.I) == []


@pytest.mark.parametrize("more", [0o040, 0o004, 0o020, 0o002, 0])
def test_a_file_of_credentials_is_as_private_as_promised(tmp_path: Path, more: int) -> None:
    path = tmp_path / "venues.toml"
    path.touch()
    path.chmod(PRIVATE_FILE | more)
    if not more:
        require_private(path, path.stat(), "holds credentials")
        return
    with pytest.raises(InputError, match="others may read it or own it"):
        require_private(path, path.stat(), "holds credentials")


def test_the_cache_is_as_private_as_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "cache"
    monkeypatch.setenv("SEPTET_CACHE", str(root))
    claim(root / "plans")
    assert stat.S_IMODE(root.stat().st_mode) == PRIVATE_FOLDER
