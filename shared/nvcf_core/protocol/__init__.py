"""The conversation with the service. Flows only: no I/O, no clock."""
