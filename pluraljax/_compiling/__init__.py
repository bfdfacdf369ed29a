"""Compiled programmes: the devices they run on, how they are traced and compiled, and what processes keep of them."""
