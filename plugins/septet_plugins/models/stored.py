"""A model that `septet train` made earlier: it decides, and is never fitted again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from septet.plugin import Config
from septet.plugin.model import model

__all__ = ["Stored", "StoredSource", "stored_model"]


class Stored(Config):
    """Where the model's folder is, relative to the strategy file."""

    path: Annotated[str, Field(min_length=1)]
    """Folder of the model, as `septet train` writes it, relative to the strategy file."""


@dataclass(frozen=True, slots=True)
class StoredSource:
    """The folder of a stored model."""

    path: str


@model(Stored)
def stored_model(config: Stored) -> StoredSource:
    """Name the folder; the shell reads it and compares its features with the file's."""
    return StoredSource(config.path)
