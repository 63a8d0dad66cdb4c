"""The runs whose report is tested, as values."""

from tests.report.conftest import full_run, rejected_run, rules_run, runs_root

__all__ = ["full_run", "rejected_run", "rules_run", "runs_root"]
