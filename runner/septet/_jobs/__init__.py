"""Long work of servers: jobs with progress and cancellation, and child processes."""
