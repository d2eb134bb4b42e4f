"""What each model allows, and how the service says no."""
