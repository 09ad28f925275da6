"""Settings of advantages. Imports nothing heavy."""

SOFT_TEMPERATURE = 0.1
"""Of :func:`best_of_set_soft`: a leaf 0.1 below the best has 37% of its weight."""
