"""Models of a backtest that its monitors request outside the schedule, as in a live run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from septet import _learn as learn
from septet._host.monitoring import Reading
from septet._kernel import layout
from septet._shell.model_layer import Learned, health_of, learn_walk
from septet._shell.run_record import Floats
from septet._shell.session import Session

__all__ = ["Retrains", "retrains_of"]


class Retrains:
    """The walk of a backtest, which grows by the models that monitors ask for.

    Decisions before a request do not change: the model is fitted on data up to the decision time of
    the request, and is used after it.
    """

    def __init__(self, session: Session, F: np.ndarray, learned: Learned) -> None:
        """Start with the walk of the schedule; F holds the features and the predictions."""
        self._session, self._F, self.learned = session, F, learned
        self._known_ns = session.aligned.T[layout.KNOWN]
        self._asked: list[int] = []
        self._fitted = {each.trained_to_ns: each for each in learned.walk.models}

    @property
    def health(self) -> Sequence[Reading]:
        """The readings of the models, in time order."""
        return health_of(self.learned)

    def predict_row(self, time_ns: int, vector: Floats) -> tuple[float, int]:
        """Return the probability up of a feature vector, and the state of the current model."""
        predicted: tuple[float, int] = self.learned.walk.predict_row(time_ns, vector)
        return predicted

    def is_due(self, t: int) -> bool:
        """Whether a request at the cursor of a decision time gets a model.

        It does not while the newest window has not yielded a model in use, or if the schedule or
        the model's own health requests one at that time anyway.
        """
        now_ns, before_ns = int(self._known_ns[t]), int(self._known_ns[t - 1]) if t else -1
        models = [each for each in self.learned.walk.models if each.trained_to_ns <= now_ns]
        if not models or models[-1].model is None:
            return False
        newest = models[-1]
        return bool(newest.trained_to_ns <= before_ns and now_ns > newest.ready_ns)

    def ask(self, t: int) -> None:
        """Fit the model with data up to a decision time, and predict the rows after it again."""
        self._asked.append(int(self._known_ns[t]))
        self.learned = learn_walk(
            self._session, self._F, asked=self._asked, fitted=self._fitted
        )  # fmt: skip


def retrains_of(session: Session, F: np.ndarray, learned: Learned | None) -> Retrains | None:
    """Return the object that fits the models requested by monitors; None without a model to fit."""
    block: Any = session.strategy.model
    if learned is None or learn.stored_folder(block) is not None:
        return None
    return Retrains(session, F, learned) if block.extra["training"].on_drift else None
