"""Meaning, units and frames of every array that OpenPaIR passes around."""
