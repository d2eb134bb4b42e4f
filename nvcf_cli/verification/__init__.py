"""The probes of `nvcf verify`: requests whose outcome the models' documentation settles, and what came of them."""

__all__: list[str] = []
