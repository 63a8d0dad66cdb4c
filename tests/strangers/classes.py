"""The source of classes of a stranger (models, sources, venues) that break one rule each."""

from __future__ import annotations

__all__ = ["MOVING"]

MOVING: dict[str, tuple[str, str, str]] = {
    "a model of chance": (
        "model",
        """
from septet.plugin.model import Fitted, model

class Guess:
    format = "broken/guess"

    def __init__(self, share, width):
        self.share, self.width = share, width

    def predict(self, x):
        return np.full(len(x), self.share)

    def predict_row(self, vector):
        return self.share

    def arrays(self):
        return {"share": np.array(self.share)}

@model(Plain)
class broken:
    name = "guess"

    def __init__(self, config):
        self.config = config

    def fit(self, window):
        return Fitted(Guess(random.random(), window.x.shape[1]))
""",
        "fits another model to the same window",
    ),
    "a monitor that looks ahead": (
        "monitor",
        """
from septet.plugin.live import Reading, monitor

@monitor(Plain)
class broken:
    def __init__(self, config):
        self.config = config

    def read(self, run):
        best = float(run.equity.max())
        return [Reading(int(t), "", best, 0.0, "ok", 1) for t in run.time_ns.tolist()]
""",
        "it looks ahead",
    ),
    "a source that gives other rows each time": (
        "series",
        """
from septet.plugin.data import Facts, RawSeries, series

@series(Plain)
class broken:
    def __init__(self, config):
        self.config = config

    def read(self, request):
        import polars as pl

        at = pl.int_range(10, eager=True)
        value = pl.Series([random.random() for _ in range(10)])
        return RawSeries(pl.DataFrame({"time": at, "value": value, "known": at}), Facts("x"))
""",
        "gives other rows the second time",
    ),
    "a source without read": (
        "candles",
        """
from septet.plugin.data import candles

@candles(Plain)
class broken:
    def __init__(self, config):
        self.config = config
""",
        "broken has no read(request)",
    ),
    "a channel that cannot send": (
        "alerts",
        """
from septet.plugin.live import alerts

@alerts(Plain)
class broken:
    def __init__(self, config):
        self.config = config

    def send(self, text):
        pass
""",
        "broken.send: too many positional arguments",
    ),
    "a venue that lacks methods": (
        "venue",
        """
from septet.plugin.live import venue

class Link:
    async def open(self, symbols, sink):
        return None

@venue(Plain)
class broken:
    def __init__(self, config):
        self.config = config

    def connect(self, *, name, clock):
        return Link()
""",
        "Link lacks async methods: submit, amend",
    ),
}
