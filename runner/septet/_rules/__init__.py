"""The rules of trading as ordinary Python: what the planner specialises for one strategy."""
