"""Detection of settings whose size a limit caps at every entry, so that it never trades."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import polars as pl

__all__ = ["SIZE_CAP", "add_size_cap", "size_cap_text"]

SIZE_CAP: Final = "size_cap"
"""Column: the share of equity at which limits cap the size of a setting; null if none does."""
_FRACTION_SIZING: Final = "fixed_fraction"
_FRACTION_KEY: Final = "risk.sizing.fraction"


def add_size_cap(table: pl.DataFrame, manifest: Mapping[str, Any]) -> pl.DataFrame:
    """Add the column `SIZE_CAP` to a table of settings.

    It is known for `fixed_fraction`, which requests the same share of equity at every entry: a
    lower position limit or gross exposure, or one for the account, caps all entries.
    """
    import polars as pl

    resolved = manifest.get("resolved") or {}
    risk = resolved.get("risk") or {}
    if (risk.get("sizing") or {}).get("use") != _FRACTION_SIZING:
        return table.with_columns(pl.lit(None, pl.Float64()).alias(SIZE_CAP))
    parts = len(resolved["universe"]["symbols"]) if risk.get("split") == "equal" else 1
    fraction = _of(table, _FRACTION_KEY, risk["sizing"].get("fraction")) / parts
    most = [pl.lit(_account(resolved))]
    for name in ("position", "gross_exposure"):
        limit = (risk.get("limits") or {}).get(name) or {}
        if limit.get("use") == name:
            most.append(_of(table, f"risk.limits.{name}", limit.get("max")))
    cap = pl.min_horizontal(most)
    capped = pl.when(fraction > cap * (1.0 + 1e-9)).then(cap * parts)
    return table.with_columns(capped.cast(pl.Float64()).alias(SIZE_CAP))


def _of(table: pl.DataFrame, key: str, written: Any) -> pl.Expr:
    """Return a value for each setting: swept, under the key or its short form, or from the file."""
    import polars as pl

    for name in (key, f"{key}.max"):
        if name in table.columns:
            return pl.col(name).cast(pl.Float64())
    return pl.lit(written, pl.Float64())


def _account(resolved: Mapping[str, Any]) -> float:
    """Return the share of equity that an account permits for one position."""
    if resolved["account"].get("type") != "perpetual":
        return 1.0
    return float((resolved.get("perpetual") or {}).get("leverage") or 1.0)


def size_cap_text(table: pl.DataFrame) -> str:
    """Return the number of settings whose size is capped by limits, as text; empty for none."""
    import polars as pl

    if SIZE_CAP not in table.columns:
        return ""
    count = table.filter(pl.col(SIZE_CAP).is_not_null()).height
    if not count:
        return ""
    verb = "asks" if count == 1 else "ask"
    return (
        f"{count:,} of {table.height:,} settings {verb} for a larger size than the limits of the "
        "file leave: every entry is capped (column capped at), and they trade as a setting of "
        "that size does."
    )
