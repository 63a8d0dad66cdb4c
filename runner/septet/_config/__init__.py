"""Strategy files: positions, validation, origins, overlays."""

from septet._config.load import Loaded, load
from septet._config.secrets import read_secret
from septet._expressions import Expr, ExpressionError, parse_expression

__all__ = ["Expr", "ExpressionError", "Loaded", "load", "parse_expression", "read_secret"]
