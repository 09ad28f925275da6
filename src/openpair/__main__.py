"""``python -m openpair``: the command line, for launchers that start Python modules (torchrun)."""

from __future__ import annotations

from openpair.cli.main import main

if __name__ == "__main__":
    main()
