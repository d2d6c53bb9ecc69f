"""A package's public names, imported when they are first used: starting a program stays fast."""

from collections.abc import Callable, Mapping
from importlib import import_module


def lazy_names(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Make a package's `__getattr__` and `__dir__`; listing, completion and help show its public names.

    Args:
        package: the package's `__name__`.
        modules: public name -> submodule that defines it; no name may be that of a submodule.
    """

    def import_name(name: str) -> object:
        if name in modules:
            return getattr(import_module(f"{package}.{modules[name]}"), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def list_names() -> list[str]:
        return sorted(modules)

    return import_name, list_names
