"""Imitation policies: features of one frame to a plan. They know nothing of samplers, simulation or scores."""
