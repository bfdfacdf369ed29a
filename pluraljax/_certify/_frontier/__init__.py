"""The worst personalized equilibrium in exact arithmetic: curves, intervals that hold none, and one that is."""
