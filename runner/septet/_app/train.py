"""Fits a strategy's model on all its data, and stores it with its card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from septet._config.load import Loaded
    from septet._progress import Progress

__all__ = ["Trained", "train_model"]


@dataclass(frozen=True, slots=True)
class Trained:
    """A stored model: its folder, and the card that records its training."""

    folder: Path
    card: dict[str, Any]

    def document(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"folder": str(self.folder), "card": self.card}


def train_model(
    loaded: Loaded, to: Path | None = None, *, progress: Progress | None = None
) -> Trained:
    """Fit the model of a loaded file and store it in `to`, by default beside the file.

    Raises
    ------
    InputError
        If the file has no model to train, or the folder cannot be written.
    """
    from septet._learn.train_on_all import fit_all
    from septet._shell.backtest import checks_of
    from septet._shell.model_layer import features

    home = Path(loaded.base_dir)
    folder = to or home / "models" / loaded.strategy.name
    within = None if to else home
    checks = checks_of(loaded)
    report = progress or (lambda stage, done, total, text, /: None)
    report("data", 0, None, "reading the data")

    def rows() -> Any:
        feature_rows = features(loaded)
        report("training", 0, 1, f"training {loaded.strategy.name}")
        return feature_rows

    card = fit_all(loaded.strategy, loaded.resolved, rows, folder, within=within, **checks)
    report("training", 1, 1, f"trained {loaded.strategy.name}")
    return Trained(folder, card)
