"""Hydra configuration for NAVSIM's scripts.

'hydra.searchpath=[pkg://navsim.planning.script.config.common,pkg://openpair.interop.hydra]' agent=openpair: an option
on the command line replaces NAVSIM's own search path, so it is named first.
"""
