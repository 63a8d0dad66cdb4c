"""The terminal summary and report.html."""
