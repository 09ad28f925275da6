"""Named presets: everything that makes an experiment, as typed dataclasses."""
