"""Where the `coordinator` command starts: interrupted while it still loads, it ends without a traceback."""

import signal
import sys


def main() -> None:
    """Load the commands, which takes a second, and run one.

    Nothing is begun before, so that SIGINT may end the process at once. `nohup` and shells' background have it ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # nibabel loads pydicom where it is installed, which takes as long as nibabel itself; only DICOM needs it here.
    sys.modules["pydicom"] = None  # type: ignore[assignment]
    from contract.interruptions import raise_dropped_again
    from coordinator.cli import main as commands

    del sys.modules["pydicom"]
    raise_dropped_again()
    commands.main()
