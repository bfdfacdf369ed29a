"""Alignment conditions in exact arithmetic: what weights reach, what directions prove, and what both promise."""
