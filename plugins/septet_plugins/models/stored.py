"""A model that `septet train` fitted earlier; it is never fitted again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from septet.plugin import Config
from septet.plugin.model import model

__all__ = ["Stored", "StoredSource", "stored_model"]


class Stored(Config):
    """Folder of the model, relative to the strategy file."""

    path: Annotated[str, Field(min_length=1)]
    """Folder of the model, as `septet train` writes it, relative to the strategy file."""


@dataclass(frozen=True, slots=True)
class StoredSource:
    """The folder of a stored model."""

    path: str


@model(Stored)
def stored_model(config: Stored) -> StoredSource:
    """Return the folder; the shell reads it and compares the model's features with the file's."""
    return StoredSource(config.path)
