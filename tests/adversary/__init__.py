"""A server that means harm: slow, endless, broken, compressed and echoing responses, and what calls make of them."""
