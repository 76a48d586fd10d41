"""A training from its config to its end: one reader, preflight, runner and resume."""
