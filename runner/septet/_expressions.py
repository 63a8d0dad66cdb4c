"""The one small expression language: parsed with `ast` and a white list into a typed tree.

Numbers, names (`fast`, `close@ETH/USDT`), ``+ - * / **``, comparisons (chained too), `and or
not`, and a handful of functions. Nothing is evaluated here and nothing else can be written: the
planner turns the tree into compiled text.
"""

from __future__ import annotations

import ast
import difflib
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Final, Literal

import msgspec

__all__ = [
    "And",
    "Binary",
    "Call",
    "Compare",
    "Expr",
    "ExpressionError",
    "FUNCTIONS",
    "Function",
    "MAX_LENGTH",
    "Name",
    "Negate",
    "Not",
    "Number",
    "Or",
    "is_condition",
    "look_back",
    "names_in",
    "parse_expression",
    "walk",
]

MAX_LENGTH: Final = 2_000
MAX_PARTS: Final = 400
MAX_DEPTH: Final = 40
MAX_LOOK_BACK: Final = 100_000


class ExpressionError(ValueError):
    """An expression that is not in the language: what is wrong, at which offset, what to do."""

    def __init__(self, message: str, offset: int = 0, *, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.offset, self.hint = message, offset, hint


class Number(msgspec.Struct, frozen=True):
    """A number."""

    value: float
    offset: int = 0


class Name(msgspec.Struct, frozen=True):
    """A column or feature; `symbol` is empty for the symbol the rule looks at."""

    name: str
    symbol: str = ""
    offset: int = 0

    def __str__(self) -> str:
        return f"{self.name}@{self.symbol}" if self.symbol else self.name


class Negate(msgspec.Struct, frozen=True):
    """``-operand``."""

    operand: Expr
    offset: int = 0


class Binary(msgspec.Struct, frozen=True):
    """``left operator right`` for ``+ - * / **``."""

    operator: Literal["+", "-", "*", "/", "**"]
    left: Expr
    right: Expr
    offset: int = 0


class Compare(msgspec.Struct, frozen=True):
    """``left operator right`` for ``< <= > >= == !=``; unknown when either side is NaN."""

    operator: Literal["<", "<=", ">", ">=", "==", "!="]
    left: Expr
    right: Expr
    offset: int = 0


class And(msgspec.Struct, frozen=True):
    """All of two or more conditions, after Kleene."""

    parts: tuple[Expr, ...]
    offset: int = 0


class Or(msgspec.Struct, frozen=True):
    """Any of two or more conditions, after Kleene."""

    parts: tuple[Expr, ...]
    offset: int = 0


class Not(msgspec.Struct, frozen=True):
    """The opposite of a condition; unknown stays unknown."""

    operand: Expr
    offset: int = 0


class Call(msgspec.Struct, frozen=True):
    """A function of the language; `prev`'s second argument is a whole `Number`."""

    function: str
    arguments: tuple[Expr, ...]
    offset: int = 0


Expr = Number | Name | Negate | Binary | Compare | And | Or | Not | Call


class Function(msgspec.Struct, frozen=True):
    """How a function is written: fewest and most arguments, and whether it is a condition."""

    shown: str
    fewest: int
    most: int
    condition: bool = False


FUNCTIONS: Final[Mapping[str, Function]] = {
    "abs": Function("abs(x)", 1, 1),
    "min": Function("min(a, b, ...)", 2, 20),
    "max": Function("max(a, b, ...)", 2, 20),
    "log": Function("log(x)", 1, 1),
    "exp": Function("exp(x)", 1, 1),
    "sqrt": Function("sqrt(x)", 1, 1),
    "sign": Function("sign(x)", 1, 1),
    "prev": Function("prev(x, n)", 2, 2),
    "crosses_above": Function("crosses_above(a, b)", 2, 2, True),
    "crosses_below": Function("crosses_below(a, b)", 2, 2, True),
    "between": Function("between(x, low, high)", 3, 3, True),
}
"""Every function of the language."""

_OPERATORS: Final[Mapping[type[ast.AST], Literal["+", "-", "*", "/", "**"]]] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"
}  # fmt: skip
_COMPARISONS: Final[Mapping[type[ast.AST], Literal["<", "<=", ">", ">=", "==", "!="]]] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="
}  # fmt: skip
_AT: Final = re.compile(
    r"\b([A-Za-z_][A-Za-z0-9_]*)@"
    r"(?:'([^']{1,64})'|([A-Za-z0-9.]+(?:/[A-Za-z0-9.]+(?::[A-Za-z0-9.]+)?)?))"
)
_LANGUAGE: Final = "numbers, names, + - * / **, comparisons, and or not, and functions"
_REFUSED: Final[Mapping[type[ast.AST], tuple[str, str]]] = {
    ast.Attribute: ("a dot after a name is not in the language", "name a column or a feature"),
    ast.Subscript: ("x[n] is not in the language", "write prev(x, n) for the value n bars ago"),
    ast.Lambda: ("lambda is not in the language", f"it has {_LANGUAGE}"),
    ast.IfExp: ("if ... else is not in the language", "write two conditions with and / or"),
    ast.NamedExpr: (":= is not in the language", "make a feature with use: expr and name it"),
    ast.Starred: ("* before a name is not in the language", f"it has {_LANGUAGE}"),
}


def parse_expression(text: str, expect: Literal["condition", "number"] | None = None) -> Expr:
    """Parse an expression; `expect` asks for a condition or a number.

    Raises
    ------
    ExpressionError
        With the offset of what is wrong (0-based) and a hint.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"this expression is longer than {MAX_LENGTH} characters")
    if not text.strip():
        raise ExpressionError("this expression is empty", hint="write e.g. fast > slow")
    for offset, character in enumerate(text):
        if not (character.isascii() and (character.isprintable() or character in "\n\r\t")):
            raise ExpressionError(f"the character {character!r} is not in the language", offset)
    flat = re.sub(r"[\n\r\t]", " ", text)
    lead = len(flat) - len(flat.lstrip())
    coded, names = _code_names(flat)
    tree = _python_tree(coded, flat)
    expression = _Converter(names, flat, lead).convert(tree.body, 0)
    _check_kind(expression, expect)
    if look_back(expression) > MAX_LOOK_BACK:
        raise ExpressionError(f"this looks back more than {MAX_LOOK_BACK:,} bars")
    return expression


def _code_names(text: str) -> tuple[str, dict[str, tuple[str, str]]]:
    """Replace every `name@SYMBOL` by a word of the same length, so that offsets hold."""
    names: dict[str, tuple[str, str]] = {}

    def code(match: re.Match[str]) -> str:
        word = f"_{len(names):x}q".ljust(len(match[0]), "_")
        names[word] = (match[1], match[2] or match[3])
        return word

    return _AT.sub(code, text), names


def _python_tree(coded: str, shown: str) -> ast.Expression:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(coded.strip(), mode="eval")
    except SyntaxError as error:
        lead = len(coded) - len(coded.lstrip())
        offset = max((error.offset or 1) - 1, 0) + lead
        from septet._expression_words import syntax_problem

        raise ExpressionError(*syntax_problem(shown, min(offset, len(shown) - 1))) from None
    except (ValueError, RecursionError, MemoryError):
        raise ExpressionError("this expression is nested too deeply") from None


def _check_kind(expression: Expr, expect: str | None) -> None:
    if expect == "condition" and not is_condition(expression):
        raise ExpressionError(
            "this is a number, and a condition is needed",
            hint="compare it with something, such as ... > 0",
        )
    if expect == "number" and is_condition(expression):
        raise ExpressionError("this is a condition, and a number is needed")


class _Converter:
    """Turns Python's tree into ours, refusing everything that is not on the list."""

    def __init__(self, names: Mapping[str, tuple[str, str]], text: str, lead: int) -> None:
        self.names, self.text, self.lead = names, text, lead
        self.parts = 0

    def convert(self, node: ast.expr, depth: int) -> Expr:
        """Convert one node and what is below it."""
        self.parts += 1
        offset = node.col_offset + self.lead
        if depth > MAX_DEPTH or self.parts > MAX_PARTS:
            raise ExpressionError("this expression is too large", offset)
        match node:
            case ast.Constant():
                return self._number(node, offset)
            case ast.Name():
                name, symbol = self.names.get(node.id, (node.id, ""))
                self._refuse_function(name, offset)
                return Name(name, symbol, offset)
            case ast.UnaryOp():
                return self._unary(node, offset, depth)
            case ast.BinOp():
                return self._binary(node, offset, depth)
            case ast.BoolOp():
                parts = tuple(self._condition(each, depth) for each in node.values)
                return And(parts, offset) if isinstance(node.op, ast.And) else Or(parts, offset)
            case ast.Compare():
                return self._compare(node, offset, depth)
            case ast.Call():
                return self._call(node, offset, depth)
        message, hint = _REFUSED.get(
            type(node), ("this is not in the language", f"it has {_LANGUAGE}")
        )
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            feature, output = node.value.id, node.attr
            hint = f"write {feature}_{output} for the output {output} of a feature {feature}"
        raise ExpressionError(message, offset, hint=hint)

    def _numeric(self, node: ast.expr, depth: int) -> Expr:
        part = self.convert(node, depth + 1)
        if is_condition(part):
            raise ExpressionError("a condition stands where a number is needed", part.offset)
        return part

    def _condition(self, node: ast.expr, depth: int) -> Expr:
        part = self.convert(node, depth + 1)
        if not is_condition(part):
            subject, shown = (f"{part} is a number", part) if isinstance(part, Name) else (
                "a number stands", "..."
            )  # fmt: skip
            raise ExpressionError(
                f"{subject} where a condition is needed",
                part.offset,
                hint=f"compare it with something, such as {shown} > 0",
            )
        return part

    def _number(self, node: ast.Constant, offset: int) -> Expr:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ExpressionError(
                f"{value!r} is not in the language", offset, hint=f"it has {_LANGUAGE}"
            )
        try:
            number = float(value)
        except OverflowError:
            number = float("inf")
        if number in (float("inf"), float("-inf")):
            raise ExpressionError("this number is too large", offset)
        return Number(number, offset)

    def _refuse_function(self, name: str, offset: int) -> None:
        if name in FUNCTIONS:
            raise ExpressionError(
                f"{name} is a function", offset, hint=f"write {FUNCTIONS[name].shown}"
            )

    def _unary(self, node: ast.UnaryOp, offset: int, depth: int) -> Expr:
        if isinstance(node.op, ast.Not):
            return Not(self._condition(node.operand, depth), offset)
        if isinstance(node.op, ast.Invert):
            raise ExpressionError("~ is not in the language", offset, hint="write not")
        operand = self._numeric(node.operand, depth)
        return Negate(operand, offset) if isinstance(node.op, ast.USub) else operand

    def _binary(self, node: ast.BinOp, offset: int, depth: int) -> Expr:
        operator = _OPERATORS.get(type(node.op))
        if operator is None:
            from septet._expression_words import SIGN_HINTS

            end = (node.left.end_col_offset or 0) + self.lead
            rest = self.text[end:].lstrip()
            hint = next((text for mark, text in SIGN_HINTS if rest.startswith(mark)), "")
            if rest.startswith("@"):
                hint = "write name@SYMBOL, or name@'SYMBOL' for symbols with other signs"
            at = end + len(self.text[end:]) - len(rest)
            sign = rest[:2] if rest[:2] in ("//", "<<", ">>") else rest[:1]
            raise ExpressionError(f"{sign} is not in the language", at, hint=hint)
        left, right = self._numeric(node.left, depth), self._numeric(node.right, depth)
        return Binary(operator, left, right, offset)

    def _compare(self, node: ast.Compare, offset: int, depth: int) -> Expr:
        sides = [self._numeric(each, depth) for each in (node.left, *node.comparators)]
        parts: list[Expr] = []
        for operator, left, right in zip(node.ops, sides, sides[1:], strict=False):
            sign = _COMPARISONS.get(type(operator))
            if sign is None:
                word = {ast.In: "in", ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not"}
                raise ExpressionError(
                    f"'{word[type(operator)]}' is not in the language",
                    left.offset,
                    hint="compare with < <= > >= == !=",
                )
            parts.append(Compare(sign, left, right, left.offset))
        return parts[0] if len(parts) == 1 else And(tuple(parts), offset)

    def _call(self, node: ast.Call, offset: int, depth: int) -> Expr:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        function = FUNCTIONS.get(name)
        if function is None and not name:
            raise ExpressionError(
                "only functions of the language can be called",
                offset,
                hint=f"functions: {', '.join(FUNCTIONS)}",
            )
        if function is None:
            from septet._expression_words import CALLED_WORDS

            close = difflib.get_close_matches(name.lower(), FUNCTIONS, n=1)
            if name.lower() in CALLED_WORDS:
                raise ExpressionError(
                    f"{name} is no function", offset, hint=CALLED_WORDS[name.lower()]
                )
            known = f"did you mean {close[0]}?" if close else f"functions: {', '.join(FUNCTIONS)}"
            raise ExpressionError(f"unknown function {name!r}", offset, hint=known)
        if node.keywords:
            raise ExpressionError(
                "arguments have no names here", offset, hint=f"write {function.shown}"
            )
        if not function.fewest <= len(node.args) <= function.most:
            raise ExpressionError(
                f"{name} was given {len(node.args)} argument"
                + ("" if len(node.args) == 1 else "s"),
                offset,
                hint=f"write {function.shown}",
            )
        arguments = tuple(self._numeric(each, depth) for each in node.args)
        if name == "prev":
            self._check_prev(arguments[1])
        return Call(name, arguments, offset)

    def _check_prev(self, bars: Expr) -> None:
        whole = isinstance(bars, Number) and bars.value.is_integer()
        if not whole or not 1 <= bars.value <= MAX_LOOK_BACK:  # type: ignore[union-attr]
            raise ExpressionError(
                "the second argument of prev is a whole number of bars, 1 or more",
                bars.offset,
                hint="write e.g. prev(close, 1); the future cannot be named",
            )


def is_condition(expression: Expr) -> bool:
    """Whether an expression is a condition (true, false, unknown) and not a number."""
    if isinstance(expression, Call):
        return FUNCTIONS[expression.function].condition
    return isinstance(expression, Compare | And | Or | Not)


def _below(expression: Expr) -> tuple[Expr, ...]:
    match expression:
        case Negate(operand=operand) | Not(operand=operand):
            return (operand,)
        case Binary(left=left, right=right) | Compare(left=left, right=right):
            return (left, right)
        case And(parts=parts) | Or(parts=parts):
            return parts
        case Call(arguments=arguments):
            return arguments
    return ()


def walk(expression: Expr) -> Iterator[Expr]:
    """Yield an expression and everything in it, parents first, left to right."""
    yield expression
    for part in _below(expression):
        yield from walk(part)


def names_in(expression: Expr) -> tuple[Name, ...]:
    """Every name used, each once, in the order of first use."""
    found: dict[str, Name] = {}
    for part in walk(expression):
        if isinstance(part, Name):
            found.setdefault(str(part), part)
    return tuple(found.values())


def look_back(expression: Expr) -> int:
    """How many bars before the current one are read at most."""
    if isinstance(expression, Call) and expression.function == "prev":
        bars = expression.arguments[1]
        back = int(bars.value) if isinstance(bars, Number) else 0
        return back + look_back(expression.arguments[0])
    own = 0
    if isinstance(expression, Call) and expression.function.startswith("crosses_"):
        own = 1
    return own + max((look_back(part) for part in _below(expression)), default=0)
