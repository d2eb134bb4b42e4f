"""Seeded random conversations with a service that fails at random at every step: no sockets, no clock."""
