"""Which rules of a file may answer what their kind does not allow, and how that is named.

Rules of septet are tried here; another package's are tried by the kit on drawn data only, so that
its plan asks of every answer whether it is one. A sizing needs no name: `size` refuses.
"""

from __future__ import annotations

from typing import Final

from septet_schemas.blocks import UseBlock

__all__ = ["INVALID", "checks_of_signal", "invalid_reason", "is_checked"]

INVALID: Final = "invalid:"
"""Begins the reason of a refusal for an invalid answer; the key path of the rule follows."""


def invalid_reason(path: str) -> str:
    """Return the name of the reason for which an answer of the rule at a key path is refused."""
    return f"{INVALID}{path}"


def is_checked(block: UseBlock) -> bool:
    """Whether the plugin of a block comes from another package than septet."""
    return block.distribution not in ("", "septet")


def checks_of_signal(reasons: int) -> tuple[str, ...]:
    """Return the lines that turn an invalid answer of a signal into none, with a reason of its own.

    `reasons` is how many the signal declares: its invalid answer has the number that follows.
    """
    return (
        f"if why >= {reasons} or (want == want and want != 0.0 and "
        "(abs(want) != 1.0 or not 0.0 <= sure <= 1.0)):",
        f"    want, sure, why = nan, 0.0, {reasons}",
    )
