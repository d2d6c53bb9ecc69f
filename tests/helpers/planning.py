"""A runner for tests that plan and run nothing."""

from coordinator.runners import Invocation
from coordinator.tools.finding import Tool


class NamedCode:
    """A runner that runs nothing; a test gives an id of each tool's code."""

    runtime = "process"

    def __init__(self, **code: str) -> None:
        self.code = code

    def code_id(self, tool: Tool) -> str:
        return self.code.get(tool.name, "as it is")

    def run(self, invocation: Invocation) -> int:
        raise AssertionError("planning runs no tool")

    def build(self, tool: Tool) -> None:
        raise AssertionError("planning builds no tool")
