"""Argoverse 2 sensor logs, converted to NAVSIM's terms."""
