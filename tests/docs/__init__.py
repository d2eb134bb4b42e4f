"""The pages of the project, read and run."""
