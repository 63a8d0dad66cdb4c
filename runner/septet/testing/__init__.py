"""The conformance kit for plugin authors: run it on your own components, as we do on ours.

::

    from septet.testing import check_component, check_rule, run_feature
"""

from septet.testing.bars import flat_bars, sample_bars
from septet.testing.checks import CHECKS, ConformanceError, Subject, check_component, same_bits
from septet.testing.evaluate import memory_of, run_feature
from septet.testing.package import check_package, features_of
from septet.testing.rules import check_rule

__all__ = [
    "CHECKS",
    "ConformanceError",
    "Subject",
    "check_component",
    "check_package",
    "check_rule",
    "features_of",
    "flat_bars",
    "memory_of",
    "run_feature",
    "same_bits",
    "sample_bars",
]
