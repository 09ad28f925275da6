"""Scenes from above and the report: what a reader sees of an evaluation."""
