"""What is measured in a market: columns, what a scan may ask of them, and the functions that compute their numbers.

Describing what is measured imports no JAX; the modules named `*_rows` do, and run only when markets are measured.
"""
