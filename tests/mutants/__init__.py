"""Mutation testing: which changes of the core no test notices."""
