"""What every equilibrium gives a user, in exact arithmetic."""
