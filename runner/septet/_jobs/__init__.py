"""Long work of servers: jobs with progress and cancel, and backtests in processes of their own."""
