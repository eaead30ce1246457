"""Makes `search_toys` importable, here and in spawned workers, which inherit sys.path."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
