"""What a model plugin is given and hands over: windows of rows, fitted models.

`model` declares a class that builds a trainer. Labels, walk-forward and storage are septet's.
"""

from septet._host.declare import model
from septet._host.models import Fitted, Recipe, Restores, Served, Trainer, Untrainable, Window

__all__ = [
    "Fitted",
    "Recipe",
    "Restores",
    "Served",
    "Trainer",
    "Untrainable",
    "Window",
    "model",
]
