"""Tools for agents: the application over the Model Context Protocol, within one folder.

Needs the extra ``mcp``. No tool trades, resumes or promotes a strategy, and none reads or writes
outside the workspace.
"""
