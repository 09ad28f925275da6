"""Hydra configuration for NAVSIM's scripts: hydra.searchpath=[pkg://openpair.interop.hydra] agent=openpair."""
