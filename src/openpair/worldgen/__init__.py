"""Builds the embedded world: streets, traffic, drivers, logs. Needs SUMO; reading a world needs nothing of it."""
