"""Makes the toy street of the sensor tests available here, too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "sensors"))
