"""Exact simulation of NAVSIM's evaluators: reference interpolation, LQR tracker, kinematic bicycle."""

from openpair.simulation.reference import NUM_STEPS, STEP_S, interpolate_states, plan_weights
from openpair.simulation.simulate import simulate

__all__ = ["NUM_STEPS", "STEP_S", "interpolate_states", "plan_weights", "simulate"]
