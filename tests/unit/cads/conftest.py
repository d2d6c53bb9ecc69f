import sys
from pathlib import Path

TOOL = Path(__file__).resolve().parents[3] / "containers" / "cads"

if str(TOOL) not in sys.path:
    sys.path.insert(0, str(TOOL))
