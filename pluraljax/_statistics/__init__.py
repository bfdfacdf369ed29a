"""Intervals, mergeable sums, quantiles and sample sizes: numbers in, numbers out, with NumPy and SciPy alone."""
