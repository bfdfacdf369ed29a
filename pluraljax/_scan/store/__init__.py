"""The folder of a scan: how it is written, read, checked, merged and surveyed, by what it says of itself. No JAX."""
