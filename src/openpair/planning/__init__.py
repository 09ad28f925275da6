"""Choosing a plan: candidate sets around a root, and the planner that lets a reward model pick one."""
