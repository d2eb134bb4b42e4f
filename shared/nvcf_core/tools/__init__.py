"""Names and arguments of tools, for both directions: the tools that are offered and the calls that come back."""
