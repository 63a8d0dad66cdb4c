"""Drawn steps: what is proved of one is true of every read it makes, on data made to break it."""

from __future__ import annotations

import linecache
import math
import random
import sys
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from septet._host.declare import Step
from septet._host.proved_reads import unproved_reads
from septet.plugin import Bars, Config, Input, window

HOUR_NS = 3_600_000_000_000
BARS = 60
FIRST = 3


class Drawn(Config):
    """A column and two numbers."""

    of: Input = "close"
    period: Bars = 3
    gap: Bars = 2


class Writer:
    """Writes a step: assignments, tests, loops and reads, of names that may mean anything."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.names = ["i", "period", "gap", "age"]

    def number(self, depth: int = 0) -> str:
        draw = self.draw
        if depth > 2 or draw.random() < 0.35:
            return draw.choice([*self.names, *map(str, range(-2, 5)), "i", "i"])
        a, b = self.number(depth + 1), self.number(depth + 1)
        return draw.choice(
            [
                f"({a} + {b})", f"({a} - {b})", f"({a} - {b})", f"({a} * {draw.randint(-1, 2)})",
                f"({a} // {draw.randint(1, 3)})", f"({a} % {draw.randint(1, 4)})",
                f"min({a}, {b})", f"max({a}, {b})", f"abs({a})", f"int({self.value()})",
                f"int(({a}) / {draw.randint(1, 3)})", f"({a} if {self.test()} else {b})", f"-({a})",
                f"i - max(0, min({a}, {draw.randint(0, 3)}))", f"i - min(age, abs({a}))",
            ]
        )  # fmt: skip

    def value(self) -> str:
        return self.draw.choice(["of[i]", "state[0]", "of[i] * 0.5", "1.5", "state[1]"])

    def test(self) -> str:
        a, b = self.draw.choice(self.names), self.draw.choice([*self.names, "0", "1", "2", "i"])
        one = f"{a} {self.draw.choice(['<', '<=', '>', '>=', '==', '!='])} {b}"
        return self.draw.choice([one, one, f"not {one}", f"{one} and age > 1", f"{one} or gap < 0"])

    def block(self, depth: int, indent: str) -> list[str]:
        lines: list[str] = []
        for _ in range(self.draw.randint(1, 3)):
            lines += self.statement(depth, indent)
        return lines

    def statement(self, depth: int, indent: str) -> list[str]:
        draw, inner = self.draw, indent + "    "
        kind = draw.choice(["name", "name", "read", "read", "if", "for", "while", "state", "more"])
        if depth > 2:
            kind = draw.choice(["name", "read"])
        known = list(self.names)
        if kind == "name":
            name = draw.choice(["a", "b", "c"])
            line = f"{indent}{name} = {self.number()}"
            if name not in self.names:
                self.names.append(name)
            return [line]
        if kind == "more" and len(known) > 4:
            return [f"{indent}{known[-1]} {draw.choice(['+=', '-='])} {self.number(1)}"]
        if kind == "state":
            return [f"{indent}state[{draw.randint(0, 1)}] = {self.number(1)}"]
        if kind == "if":
            lines = [f"{indent}if {self.test()}:", *self.block(depth + 1, inner)]
            if draw.random() < 0.3:
                lines.append(f"{inner}return of[i]")
            self.names = list(known)
            if draw.random() < 0.5:
                lines += [f"{indent}else:", *self.block(depth + 1, inner)]
            self.names = known
            return lines
        if kind == "for":
            ends = draw.choice(
                ["1, period", "i - period, i + 1", f"min(age + 1, {self.number(1)})"]
            )
            lines = [f"{indent}for n in range({ends}):"]
            self.names.append("n")
            lines += [*self.block(depth + 1, inner), f"{inner}if n > 5:", f"{inner}    break"]
            self.names = known
            return lines
        if kind == "while":
            turns = f"w{depth}"
            test = f"{turns} < 3 and {self.test()}"
            lines = [f"{indent}{turns} = 0", f"{indent}while {test}:", f"{inner}{turns} += 1"]
            lines += self.block(depth + 1, inner)
            self.names = known
            return lines
        return [f"{indent}total += of[{self.number()}]"]

    def step(self, name: str) -> Step:
        body = self.block(0, "    ")
        lines = [f"def {name}(i, of, period, gap, age, state):", "    total = 0.0", *body]
        text = "\n".join([*lines, f"    return total + of[{self.number()}]"]) + "\n"
        file = f"<{name}>"
        linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file
        scope: dict[str, Any] = {"math": math}
        exec(compile(text, file, "exec"), scope)
        return Step(
            "feature", Drawn, scope[name], state=("one", "two"), lookback=lambda c: FIRST,
            memory=lambda c: window(9),
        )  # fmt: skip


class Column:
    """Notes the lines of reads that are not of the past; they are answered all the same."""

    def __init__(self, values: Any) -> None:
        self.values, self.cursor = values, 0
        self.wrong: dict[int, str] = {}
        self.read: set[int] = set()

    def __getitem__(self, index: int) -> Any:
        line = sys._getframe(1).f_lineno
        self.read.add(line)
        if not 0 <= index <= self.cursor:
            self.wrong.setdefault(line, f"of[{index}] at bar {self.cursor}")
            return self.values[0]
        return self.values[index]


def reads_of(step: Step, config: Drawn, seed: int) -> Column:
    """Call a step for every bar of a history that begins at the array's first element."""
    draw = np.random.default_rng(seed)
    wild = np.array([math.nan, math.inf, -math.inf, 1e300, -1e18, -3.0, -1.0, 0.0, 0.5, 2.0, 7.0])
    of, state = Column(draw.choice(wild, BARS)), np.zeros(2)
    assert step.function is not None
    for i in range(FIRST, BARS):
        of.cursor = i
        # plain Python alone raises for int(NaN)
        with np.errstate(all="ignore"), suppress(ValueError, OverflowError):
            step.function(i, of, config.period, config.gap, i, state)
    return of


@pytest.mark.parametrize("seed", range(4))
def test_what_is_proved_is_true(seed: int) -> None:
    proved = caught = 0
    for number in range(250):
        step = Writer(1_000 * seed + number).step(f"drawn_{seed}_{number}")
        config = Drawn(period=1 + number % 3, gap=number % 2 + 1)
        unproved = {
            int(read.place.rpartition(":")[2])
            for read in unproved_reads(step, config, HOUR_NS, FIRST)
        }
        of = reads_of(step, config, number)
        proved += len(of.read - unproved)
        caught += len(of.wrong.keys() & unproved)
        wrong = {line: text for line, text in of.wrong.items() if line not in unproved}
        assert step.function is not None
        text = "".join(linecache.cache[step.function.__code__.co_filename][2])  # type: ignore[misc]
        assert not wrong, f"{wrong}\nseed {seed}, number {number}, {config}\n{text}"
    assert proved > 50
    assert caught > 50
