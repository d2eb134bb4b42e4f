"""Bad input for every decoder: no exception but ours, no unbounded memory, no quadratic time."""
