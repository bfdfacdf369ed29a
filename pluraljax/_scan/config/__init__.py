"""What a scan is: its config, the cells of its grid, which markets come when, and when it stops. Imports no JAX."""
