"""Whether a profile is an equilibrium, in exact arithmetic: what providers gain at most, and a better reply."""
