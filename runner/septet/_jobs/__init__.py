"""Long work of servers: jobs with progress and cancel, and processes for backtests and checks."""
