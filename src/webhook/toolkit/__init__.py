"""Advanced building blocks. Empty for now."""

__all__: list[str] = []
