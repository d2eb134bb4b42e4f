"""The checks of `nvcf doctor`: this machine, the way to the service, and the service."""

__all__: list[str] = []
