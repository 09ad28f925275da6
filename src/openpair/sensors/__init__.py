"""Ray-cast cameras and LiDAR for scenes that come without recordings."""

RENDERER_VERSION = 3
"""Rises when the same scene gives another picture; part of the key of whatever is kept of one."""
