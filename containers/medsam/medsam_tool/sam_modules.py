"""Meta's network code in `segment_anything`, without its parent package, which imports torchvision."""

import importlib
import importlib.util
import sys
from types import ModuleType

PACKAGE = "segment_anything"


def import_modeling() -> ModuleType:
    """Import `segment_anything.modeling`: image encoder, prompt encoder, mask decoder; torch is all that they need.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None:
        raise ModuleNotFoundError(f"package {PACKAGE} must be installed, but is not", name=PACKAGE)
    parent = ModuleType(PACKAGE)
    parent.__path__ = list(spec.submodule_search_locations or [])
    before = sys.modules.get(PACKAGE)
    sys.modules[PACKAGE] = parent
    try:
        return importlib.import_module(f"{PACKAGE}.modeling")
    finally:
        sys.modules.pop(PACKAGE)
        if before is not None:
            sys.modules[PACKAGE] = before
