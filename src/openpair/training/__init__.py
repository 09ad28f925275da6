"""Training of both branches and of the reward model: loops, state on disk, progress events."""
