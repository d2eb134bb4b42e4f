"""One request held against what its model allows."""
