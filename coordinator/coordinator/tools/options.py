"""Formats tool options for a command line."""

from collections.abc import Mapping

from contract.manifest import OptionValue


def option_arguments(options: Mapping[str, OptionValue]) -> tuple[str, ...]:
    """Format options as arguments of a tool's command line."""
    arguments: list[str] = []
    for name, value in options.items():
        if isinstance(value, bool):
            arguments.append(f"--{name}" if value else f"--no-{name}")
        else:
            arguments.append(f"--{name}={value}")
    return tuple(arguments)
