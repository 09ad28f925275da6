"""Reinforcement learning as arithmetic on tensors: advantages, the GRPO loss, the KL controller. No input or output."""
