"""OpenPaIR inside NAVSIM's own programs: an agent for its scripts, files for its leaderboards.

What NAVSIM's interpreter imports (this file, ``navsim_agent``) runs on Python 3.9 and needs numpy and torch alone.
"""
