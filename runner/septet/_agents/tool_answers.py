"""The form of the answers of tools, and the limit on their size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from mcp_types import CallToolResult, TextContent
from pydantic import BaseModel, ConfigDict

from septet._app.documents import document_of, error_document
from septet._text import plain_json, shortened, visible
from septet.errors import SeptetError

__all__ = [
    "MOST_ROWS", "Checked", "Compared", "Data", "Explained", "Guide", "Job",
    "Listed", "Plugins", "Ran", "Rows", "Saved", "Schema", "Stopped", "Swept", "Why",
    "Working", "compact", "page", "readable",
    "refused",
]  # fmt: skip

MOST_ROWS: Final = 200
BUDGET: Final = 11_000
"""Bytes of a list in an answer, which is sent as text and as structured content: 32 kB in all."""


class _Answer(BaseModel):
    model_config = ConfigDict(extra="allow")


class _Page(_Answer):
    """A part of a list: `next` is the `cursor` of the following part, None at the end."""

    limit: int
    next: int | None
    truncated: bool


class Guide(_Answer):
    """A topic of the guide, as markdown."""

    topic: str
    topics: list[str]
    text: str


class Schema(_Answer):
    """A part of the JSON schema, or with `truncated` only the names of its keys."""

    path: str
    part: Any
    keys: list[str]
    truncated: bool


class Plugins(_Page):
    """Plugins with their keys and an example of a file."""

    plugins: list[dict[str, Any]]


class Checked(_Page):
    """The problems of a strategy; it may run if `ok` is true."""

    ok: bool
    problems: list[dict[str, Any]]


class Explained(_Page):
    """Effective values, each with its origin."""

    values: list[dict[str, Any]]


class Saved(_Answer):
    """A written file; its hash is the `replaces` of the next save."""

    file: str
    hash: str


class Working(_Answer):
    """The progress of a job: its state is waiting, running, done, failed or cancelled."""

    id: str
    kind: str
    state: str
    stage: str
    done: int
    total: int | None
    text: str


class Job(_Answer):
    """A job with its result or error."""

    job: Working
    result: dict[str, Any] | None
    error: dict[str, Any] | None


class Ran(_Answer):
    """A finished backtest: its figures with the verdict and the tries before it.

    While it is running there is only `job`.
    """

    job: Working
    run: str | None = None
    strategy: str | None = None
    hypothesis: str | None = None
    figures: dict[str, Any] | None = None
    findings: list[dict[str, Any]] | None = None
    commands: dict[str, str] | None = None


class Swept(_Answer):
    """A finished sweep: its best settings with the verdict and the tries before it.

    While it is running there is only `job`.
    """

    job: Working
    sweep: str | None = None
    hypothesis: str | None = None
    best: list[dict[str, Any]] | None = None
    overfitting: dict[str, Any] | None = None
    verdict: list[str] | None = None
    tries: dict[str, Any] | None = None


class Data(_Page):
    """Data files of the workspace and their contents."""

    data: list[dict[str, Any]]


class Listed(_Page):
    """Stored runs, the latest first."""

    runs: list[dict[str, Any]]


class Rows(_Page):
    """Rows of a table of a run, and the figures of the run."""

    run: str
    table: str
    columns: list[str]
    rows: list[list[Any]]
    figures: dict[str, Any]


class Why(_Answer):
    """The reason why an order was made, or none."""

    run: str
    text: str
    chain: dict[str, Any]
    figures: dict[str, Any]


class Stopped(_Answer):
    """The result of a halt: whether the run confirmed it, and how many of its orders are open.

    `ok` is false until the run has confirmed it and no order is open.
    """

    run: str
    ok: bool
    taken: bool
    running: bool
    open_orders: int | None
    text: list[str]


class Compared(_Page):
    """Two runs: the settings in which they differ, and the figures of each."""

    settings: list[dict[str, Any]]
    a: dict[str, Any]
    b: dict[str, Any]
    command: str | None


def readable(value: Any) -> Any:
    """Return an answer as plain data without control characters: a run may be a stranger's.

    Ends of lines stay; other control characters and marks of direction are written as escapes.
    """
    plain = plain_json(value)
    if isinstance(plain, dict):
        return {visible(key): readable(item) for key, item in plain.items()}
    if isinstance(plain, list):
        return [readable(item) for item in plain]
    return visible(plain) if isinstance(plain, str) else plain


def compact(value: Any) -> str:
    """Format an answer as JSON on one line; NaN becomes null."""
    import json

    document = plain_json(document_of(value))
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def refused(error: SeptetError) -> CallToolResult:
    """Return an error as an answer: the document that `--json` prints."""
    document = error_document(error)
    document["problems"] = page(document["problems"], cursor=0, limit=50)["items"]
    document["message"] = shortened(document["message"], 4_000)
    text = TextContent(type="text", text=compact(readable(document)))
    return CallToolResult(content=[text], is_error=True)


def page(items: Sequence[Any], *, cursor: int, limit: int, budget: int = BUDGET) -> dict[str, Any]:
    """Return the part of a list that begins at `cursor` and fits, under ``items``.

    An item that is too large by itself is left out, and counted under ``left_out``.
    """
    cursor, most = max(0, cursor), max(1, min(limit, MOST_ROWS))
    page_items: list[Any] = []
    position, used, left_out = cursor, 0, 0
    while position < len(items) and len(page_items) < most:
        size = len(compact(items[position]).encode("utf-8", "replace"))
        if size > budget:
            left_out += 1
        elif used + size > budget:
            break
        else:
            page_items.append(items[position])
            used += size
        position += 1
    has_more = position < len(items)
    page_document = {
        "items": page_items,
        "limit": most,
        "next": position if has_more else None,
        "truncated": has_more,
    }
    return {**page_document, "left_out": left_out} if left_out else page_document
