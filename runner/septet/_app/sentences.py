"""Sentences about runs."""

from __future__ import annotations

from typing import Any

__all__ = ["why_sentence"]


def why_sentence(chain: dict[str, Any]) -> str:
    """Say in words why an order was made, or none."""
    from septet._report.why import sentence_of

    return sentence_of(chain)
