"""What the JSON API takes and answers, as types: the OpenAPI document is made from them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from septet._app.run_view import HeldPosition, OpenOrderRow, RunEvent

__all__ = [
    "ActionRequest", "ActionResult", "CancelRequest", "Decision", "Decisions", "Failure", "JobRow",
    "JobsAnswer", "Orders", "Positions", "RunAnswer", "RunRow", "Runs", "TablePage", "Trials",
    "Why",
]  # fmt: skip


class Failure(BaseModel):
    """Why nothing was done."""

    ok: Literal[False]
    error: str
    message: str
    hint: str


class Trials(BaseModel):
    """How many tries preceded a run on its data, itself among them.

    `effective` is how many independent ones they are worth, `deflated_sharpe` the probability that
    the true Sharpe ratio of the best is above zero. Where `complete` is false the ledger did not
    know, and the numbers are null.
    """

    count: int | None
    effective: float | None
    declared: int
    deflated_sharpe: float | None
    complete: bool
    text: str


class RunRow(BaseModel):
    """A run of the list: `run` names it in every other request.

    `trials` is null in paper and live; `forward` has the figures of what came after the file was
    first tried, and is null where that is under a day. `problem` is what is wrong with the journal
    of a run or with its files, and what to do.
    """

    run: str
    run_id: str
    strategy: str
    mode: str
    state: str
    damaged: str
    problem: str
    total_return: float | None
    trades: int | None
    last_bar: str | None
    trials: Trials | None
    forward: dict[str, Any] | None
    verdict: str


class Runs(BaseModel):
    """Every run, the latest first."""

    runs: list[RunRow]


class Decision(BaseModel):
    """A decision, and in `why` what rejected or capped it."""

    time: str
    symbol: str
    signal: str
    confidence: float | None
    requested: float | None
    granted: float | None
    why: str
    reference: str


class Positions(BaseModel):
    """What a run holds; `doubt` is why that is not certain, or empty.

    It is null where it is not known: of a backtest, or without a journal that can be read.
    """

    positions: list[HeldPosition] | None
    doubt: str


class Orders(BaseModel):
    """Open orders, null where they are not known; the table `orders` has all."""

    orders: list[OpenOrderRow] | None
    doubt: str


class Decisions(BaseModel):
    """The last decisions, the latest first; the table `decisions` has all."""

    decisions: list[Decision]


class RunAnswer(BaseModel):
    """How a run stands: amounts in `currency`, drawdown, returns and exposure as fractions."""

    run_id: str
    strategy: str
    mode: str
    state: str
    state_text: str
    blocks: list[str]
    entries: str
    currency: str
    initial_capital: float
    equity: float | None
    equity_time: str
    total_return: float | None
    drawdown: float | None
    max_drawdown: float | None
    day_profit: float | None
    day_return: float | None
    exposure: float | None
    trades: int
    positions: list[HeldPosition] | None
    orders: list[OpenOrderRow] | None
    decisions: list[Decision]
    events: list[RunEvent]
    doubt: str
    verdict: str
    problem: str
    trials: Trials | None
    forward: dict[str, Any] | None
    summary: dict[str, Any]


class TablePage(BaseModel):
    """Rows of a table, at most `limit`; `next` asks for those after them, null at the end."""

    name: str
    rows: list[dict[str, Any]]
    limit: int
    next: int | None
    problem: str


class Why(BaseModel):
    """Why an order was made, or why there was none, as `septet why --json` prints it."""

    sentence: str
    found: dict[str, Any]
    problem: str


class ActionRequest(BaseModel):
    """What is asked of a run; a token or a user is journaled by its own name."""

    model_config = ConfigDict(extra="forbid", strict=True)

    run: str = Field(min_length=1, max_length=400)
    reason: str = Field(min_length=1, max_length=400)
    name: str = Field(default="", max_length=80)


class ActionResult(BaseModel):
    """What came of it, in lines, and as `septet halt --json` prints it.

    `ok` is false while it is not done: nobody has answered yet, or orders or positions are left.
    `message` and `hint` are the first line and the others.
    """

    ok: bool
    message: str
    hint: str
    texts: list[str]
    found: dict[str, Any]


class JobRow(BaseModel):
    """Work that the page has begun, open or ended: `done` of `total` parts of its `stage`."""

    id: str
    kind: str
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    stage: str
    done: int
    total: int | None


class JobsAnswer(BaseModel):
    """Backtests, comparisons and checks of the page, the latest first.

    At most `most` backtests and comparisons are open, `most_each` of one visitor.
    """

    jobs: list[JobRow]
    most: int
    most_each: int


class CancelRequest(BaseModel):
    """Which job is to stop."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: str = Field(min_length=1, max_length=80)
