"""Who is told of a call while it goes, and OpenTelemetry as one who is."""
