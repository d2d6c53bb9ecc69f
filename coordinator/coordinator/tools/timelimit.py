"""Work that what a stranger wrote may make endless, such as matching a pattern of a foreign manifest."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar

Result = TypeVar("Result")


def within_seconds(seconds: float, work: Callable[..., Result], *arguments: object) -> Result:
    """Do work in a process of its own, which is killed when its time is over.

    Args:
        seconds: the work's time.
        work: a function whose result, or `ValueError`, can be pickled.
        arguments: of the function.

    Raises:
        ValueError: the work raises it, takes too long, or ends without a result.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_result, args=(sender, work, arguments), daemon=True)
    process.start()
    sender.close()
    try:
        if not receiver.poll(seconds):
            raise ValueError(f"it takes longer than {seconds:g} s to check, as a pattern such as (a+)+ does")
        result, error = receiver.recv()
    except EOFError:
        raise ValueError("it can't be checked within this machine's memory") from None
    finally:
        process.kill()
        process.join()
        process.close()
        receiver.close()
    if error is not None:
        raise ValueError(*error)
    return result  # type: ignore[no-any-return]


def _send_result(sender: Connection, work: Callable[..., Any], arguments: tuple[object, ...]) -> None:
    try:
        sender.send((work(*arguments), None))
    except (ValueError, RecursionError, OverflowError, MemoryError) as error:
        sender.send((None, error.args or (str(error),)))
