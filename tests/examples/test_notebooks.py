"""The notebooks run from top to bottom, each by itself, and are kept without outputs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))


def read(path: Path) -> Any:
    found = nbformat.read(path, as_version=4)
    nbformat.validate(found)
    return found


def test_there_are_three() -> None:
    names = ["data-frames", "first-backtest", "sweep-and-tries"]
    assert [path.stem for path in NOTEBOOKS] == names


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_a_document_without_outputs(path: Path) -> None:
    book = read(path)
    assert book.cells[0].cell_type == "markdown"
    assert book.cells[0].source.startswith("# ")
    texts = [each for each in book.cells if each.cell_type == "markdown"]
    code = [each for each in book.cells if each.cell_type == "code"]
    assert len(texts) >= len(code) / 2
    assert [each.outputs for each in code] == [[] for _ in code]
    assert {each.execution_count for each in code} == {None}
    assert max(len(each.source.splitlines()) for each in code) <= 30


def test_the_notebooks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each in a kernel and a folder of its own, all at once."""
    monkeypatch.setenv("SEPTET_TRIALS", "on")
    monkeypatch.setenv("SEPTET_STATE_DIR", str(tmp_path / "state"))
    books = {path.stem: read(path) for path in NOTEBOOKS}

    async def work() -> None:
        clients = []
        for name, book in books.items():
            (tmp_path / name).mkdir()
            where = {"metadata": {"path": str(tmp_path / name)}}
            clients.append(
                NotebookClient(book, kernel_name="python3", timeout=300, resources=where)
            )
        await asyncio.gather(*(each.async_execute() for each in clients))

    asyncio.run(work())
    for name, book in books.items():
        shown = [each for cell in book.cells for each in cell.get("outputs", ())]
        assert not [each for each in shown if each.output_type == "error"], name
        pages = [each.data["text/html"] for each in shown if "text/html" in each.get("data", {})]
        assert len(pages) >= 3, name
        assert not [page for page in pages if "<script" in page], name
