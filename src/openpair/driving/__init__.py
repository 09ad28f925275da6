"""Closed loop: agents drive logs of a dataset, and the drives are judged."""
