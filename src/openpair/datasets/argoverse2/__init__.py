"""Argoverse 2 sensor logs, converted to NAVSIM's terms: 2 Hz frames, roadblocks, intersections, a route."""
