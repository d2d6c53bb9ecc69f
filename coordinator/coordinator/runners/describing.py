"""What an image prints for `describe`, read within bounds: a foreign one may print without end, or never end."""

import time

from docker.errors import APIError
from docker.models.containers import Container
from docker.types import LogConfig

from contract.errors import UsageError

DESCRIBE_S = 60
"""A container that takes longer is removed."""
MOST_BYTES = 1_000_000
"""Of a manifest; that of our largest tool has about 20,000."""
DESCRIBE_LOG = LogConfig(type="json-file", config={"max-size": "10m", "max-file": "2"})
"""What the engine keeps of the output: the last 10 to 20 MB, in which a byte may take a line of its own."""


def read_description(container: Container) -> str:
    """Run a container of `describe` to its end, remove it, and return what it printed.

    Raises:
        UsageError: it does not start, fails, takes too long or prints too much.
    """
    try:
        container.start()
        code = _wait(container)
        if code != 0:
            reason = container.logs(tail=20).decode(errors="replace").strip()[-300:]
            raise UsageError(f"`describe` must end with exit code 0, but ends with {code}: {reason}")
        output = container.logs(stderr=False)
    except APIError as error:
        raise UsageError(f"the image must start, but: {error.explanation}") from None
    finally:
        remove_container(container)
    if len(output) > MOST_BYTES:
        raise UsageError(f"`describe` must print at most {MOST_BYTES:,} bytes, but prints more")
    return output.decode(errors="replace")


def exit_code(container: Container) -> int | None:
    """The exit code of a container; None while it runs."""
    container.reload()
    state = container.attrs["State"]
    return int(state["ExitCode"]) if state["Status"] == "exited" else None


def remove_container(container: Container) -> None:
    """Remove a container, and the volumes that Docker made for a `VOLUME` of its image."""
    container.remove(force=True, v=True)


def _wait(container: Container) -> int:
    deadline = time.monotonic() + DESCRIBE_S
    while (code := exit_code(container)) is None:
        if time.monotonic() > deadline:
            raise UsageError(f"`describe` must end within {DESCRIBE_S} s, but does not")
        time.sleep(0.05)
    return code
