"""septet: a declarative trading strategy runner. One YAML file, seven plugin layers."""

from septet_schemas import __version__

__all__ = ["__version__"]
