"""Many settings of one strategy: the result of each, and the selection bias of the best."""

__all__: list[str] = []
