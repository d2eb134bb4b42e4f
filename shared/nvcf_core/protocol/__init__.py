"""The service's protocol, as flows: no I/O, no clock."""
