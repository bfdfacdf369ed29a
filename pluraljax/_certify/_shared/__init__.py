"""Worst equilibria of users who share a policy, in exact arithmetic: a cover whose parts are refuted, and a profile."""
