"""Tree samplers of the reinforcement branch: candidates around a reference plan. They know nothing of policies."""
