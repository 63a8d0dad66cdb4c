"""Binds a position in steps for a plan: fixed distances, takes, adds, the words of rules.

Each distance that is an expression has two columns of B, each resting add four and each add by a
condition two, after those that every plan has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from septet._kernel import layout
from septet._plan.run_terms import Terms
from septet_schemas.base import Config
from septet_schemas.position import Distance, PositionSteps, distances_of

__all__ = ["STEP_REASONS", "WORDS_OF_POSITION", "PositionColumns"]

BUY_REASONS: Final[tuple[tuple[str, str], ...]] = (("R_BUY_EVERY", "buy_every"),)
"""Settings of reasons that plans of regular buys have, and the reasons; the first one increases."""
GRID_REASONS: Final[tuple[tuple[str, str], ...]] = (
    ("R_GRID", "grid"), ("R_GRID_EXIT", "grid_exit"), ("R_GRID_MOVED", "grid_moved"),
    ("R_OTHER_SIDE", "other_side"),
)  # fmt: skip
"""The same of plans of a grid."""
ROWS_OF_LEVEL: Final = 3
"""What a level of a grid may write to the log in one step, in fours."""
STEP_REASONS: Final = ("add", "take", "break_even", "stop_unknown", "position_closed")
"""Reasons of orders and rejections that plans of positions in steps have."""
WORDS_OF_POSITION: Final = {
    "position": "(1.0 * I[k, OPEN_SIDE])",
    "entry_price": "B[k, AVERAGE]",
    "first_price": "B[k, FIRST_PRICE]",
    "last_price": "B[k, LAST_PRICE]",
    "bars_held": "(1.0 * I[k, TRADE_BARS] if I[k, OPEN_SIDE] != 0 else nan)",
    "open_return": (
        "rounded_share(1.0 * I[k, OPEN_SIDE] * (X[k, CLOSE, {cursor}] / B[k, AVERAGE] - 1.0))"
    ),
    "best_return": (
        "rounded_share(1.0 * I[k, OPEN_SIDE] * (B[k, HIGH_WATER] / B[k, AVERAGE] - 1.0))"
    ),
    "adds": "(1.0 * I[k, ADDS] if I[k, OPEN_SIDE] != 0 else nan)",
}
"""What the words of `septet_schemas.position.POSITION_WORDS` are called in the text."""

Expression = Callable[[str, str], str]
"""Binds an expression for a key of the file; its text reads columns at cursor `i`."""


class PositionColumns(msgspec.Struct):
    """Collects the columns of B that a plan adds, and what its rules do with them."""

    expression: Expression
    number: Callable[[str, float], str]
    first: int = layout.B_SLOTS
    count: int = 0
    distances: list[dict[str, str]] = msgspec.field(default_factory=list)
    uses_distances: bool = False

    @property
    def slots(self) -> int:
        """How many columns B has."""
        return self.first + self.count

    def _column(self) -> int:
        self.count += 1
        return self.first + self.count - 1

    def amount(
        self, value: Distance, key: str, *, required: bool = False, signed: bool = False
    ) -> str:
        """Return the text of a distance (quote)."""
        self.uses_distances = True
        if not value.formula:
            return f"({self.number(key, value.multiple)} * B[k, FIRST_RISK])"
        read_column, fixed_column = self._column(), self._column()
        self.distances.append(
            {
                "read": str(read_column), "fixed": str(fixed_column), "required": str(required),
                "signed": str(signed), "distance": self.expression(value.formula, key),
            }
        )  # fmt: skip
        return f"B[k, {fixed_column}]"

    def words_of(self, config: Config, key: str) -> dict[str, str]:
        """Return the texts of the distances of a rule by name: see `DistanceMark`."""
        texts = {}
        for name, mark in distances_of(type(config)).items():
            value = getattr(config, name)
            texts[f"{name}_amount"] = "0.0"
            if isinstance(value, Distance):
                texts[name] = "0.0"
                texts[f"{name}_amount"] = self.amount(
                    value, f"{key}.{name}", required=mark.required
                )
        return texts

    @staticmethod
    def sides_of(stop: Config) -> dict[str, Any]:
        """Return for which sides the file names a stop that is read at every decision."""
        is_for = getattr(stop, "is_for", lambda side: True)
        return {"is_for_long": is_for(1), "is_for_short": is_for(-1)}

    def level(self, value: float | Distance, key: str, base: str, *, signed: bool = False) -> str:
        """Return the text of the price that lies a distance from the price `base`, by `side`."""
        if isinstance(value, Distance):
            return f"({base} + side * {self.amount(value, key, signed=signed)})"
        return f"({base} * (1.0 + side * {self.number(key, value)}))"

    def steps(
        self, position: PositionSteps, *, capped: bool = False
    ) -> dict[str, list[dict[str, str]]]:
        """Return the lists of takes and adds that the rules go over; volume may cap their fills."""
        lists: dict[str, list[dict[str, str]]] = {
            "takes_at": [], "takes_when": [], "rungs": [], "adds_when": [],
        }  # fmt: skip
        for number, take in enumerate(position.take):
            key = f"risk.position.take.{number}"
            each = {
                "number": str(number), "size": self.number(f"{key}.size", take.size),
                "moves_stop": str(take.then is not None),
            }  # fmt: skip
            if take.at is not None:
                level = self.level(take.at, f"{key}.at", "average_price")
                remainder = {"rest": str(self._column())} if capped else {}
                lists["takes_at"].append({**each, **remainder, "level": level})
            elif take.when is not None:
                text = self.expression(take.when, f"{key}.when")
                lists["takes_when"].append({**each, "is_met": text})
        for number, add in enumerate(position.add):
            key = f"risk.position.add.{number}"
            size = self.number(f"{key}.size", add.size)
            for index, at in enumerate(add.at):
                level = self.level(at, f"{key}.at.{index}", "first_price", signed=True)
                rung = {
                    "number": str(len(lists["rungs"])), "size": size, "level": level,
                    "price": str(self._column()), "units": str(self._column()),
                    "order": str(self._column()), "filled": str(self._column()),
                }  # fmt: skip
                lists["rungs"].append(rung)
            if add.when is not None:
                lists["adds_when"].append(
                    {
                        "number": str(len(lists["adds_when"])), "size": size,
                        "times": self.number(f"{key}.times", add.times),
                        "min_interval": self.number(f"{key}.min_interval", add.min_interval or 0),
                        "sent": str(self._column()), "since": str(self._column()),
                        "is_met": self.expression(add.when, f"{key}.when"),
                    }
                )  # fmt: skip
        return lists

    def grid(self, position: PositionSteps) -> dict[str, Any] | None:
        """Return the settings of a grid, and the text of its centre."""
        grid = position.grid
        if grid is None:
            return None
        first, rows = self.first + self.count, grid.levels * (2 if grid.short else 1)
        self.count += rows * layout.GRID_WIDTH
        sides = {"GRID_SIDES": True, "GRID_SHORT_LEVEL": self._column()} if grid.short else {}
        key = "risk.position.grid"
        return {
            "values": {
                "GRID_FIRST": first,
                "GRID_LEVELS": grid.levels,
                "GRID_ROWS": rows,
                "GRID_SIDES": False,
                **sides,
            },
            "texts": {
                "GRID_STEP": self.number(f"{key}.step", grid.step),
                "GRID_SIZE": self.number(f"{key}.size", grid.size),
            },
            "centre": self.expression(grid.centre, f"{key}.centre"),
        }

    def context(
        self, terms: Terms, chosen: Mapping[str, Any], *, venue_fills: bool
    ) -> dict[str, Any]:
        """Return what the plan's choices are made of, after stops and orders are chosen.

        `levels` counts what takes and adds may write to the log in one step.
        """
        position = terms.position or PositionSteps()
        by_stop = "stop_distance" in terms.sizing.declaration.parameters
        capped = chosen["participation"] is not None and not venue_fills
        lists = self.steps(position, capped=capped)
        buys, grid = position.buy_every, self.grid(position)
        levels = sum(map(len, lists.values()))
        if grid is not None:
            levels += ROWS_OF_LEVEL * int(grid["values"]["GRID_ROWS"])
        steps = position.enters or by_stop or self.uses_distances or levels > 0
        steps = steps or any(each["reads"] for each in chosen["protective"])
        return {
            "steps": steps, "distances": self.distances, "sizes_by_stop": by_stop,
            "entering_reasons": (BUY_REASONS if buys else ()) + (GRID_REASONS if grid else ()),
            "levels": levels, "grid": grid, "no_signal": position.enters, **lists,
            "buy_amount": (
                None if buys is None
                else self.number("risk.position.buy_every.amount", buys.amount)
            ),
        }  # fmt: skip
