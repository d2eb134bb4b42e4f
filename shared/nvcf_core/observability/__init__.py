"""Observers of calls, and the one that exports them to OpenTelemetry."""
