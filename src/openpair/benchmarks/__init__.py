"""Measurements of speed and memory, each a command of ``openpair bench``."""
