"""Who drives, how well, and how certain that is: agents, the runner, statistics, tables."""
