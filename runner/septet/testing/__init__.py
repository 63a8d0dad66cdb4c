"""The conformance kit for plugin authors: run it on your own components, as we do on ours.

::

    from septet.testing import check_component, check_rule, run_feature
"""

from septet.testing.bars import flat_bars, sample_bars
from septet.testing.checks import CHECKS, ConformanceError, Subject, check_component, same_bits
from septet.testing.evaluate import memory_of, run_feature
from septet.testing.local import LocalServer, Received, Trial
from septet.testing.objects import check_object
from septet.testing.package import check_package, features_of, steps_of
from septet.testing.rules import check_rule

__all__ = [
    "CHECKS",
    "ConformanceError",
    "LocalServer",
    "Received",
    "Subject",
    "Trial",
    "check_component",
    "check_object",
    "check_package",
    "check_rule",
    "features_of",
    "flat_bars",
    "memory_of",
    "run_feature",
    "same_bits",
    "sample_bars",
    "steps_of",
]
