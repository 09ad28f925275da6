"""OpenPaIR: learning to drive by imitation and reinforcement in parallel."""

__version__ = "0.1.0"
