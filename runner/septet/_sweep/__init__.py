"""Many settings of one strategy: what each made, and how much of the best is luck."""

__all__: list[str] = []
