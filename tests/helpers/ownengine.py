"""A Docker engine of the tests' own, which they may stop: the machine's own is never touched."""

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from helpers.needs import skip_or_fail


class OwnEngine:
    """A `dockerd` with its own folder and socket.

    Attributes:
        address: for DOCKER_HOST.
    """

    def __init__(self, folder: Path) -> None:
        if os.geteuid() or shutil.which("dockerd") is None:
            skip_or_fail("a Docker engine of the tests' own needs dockerd, and root")
        self.folder = folder
        self.address = f"unix://{folder}/docker.sock"
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        """Start it in a network of its own: without a bridge, it would remove that of the machine's engine."""
        command = [
            "unshare", "--net", "dockerd", "--host", self.address, "--data-root", self.folder / "data",
            "--exec-root", self.folder / "exec", "--pidfile", self.folder / "pid", "--bridge", "none",
            "--iptables=false", "--ip6tables=false",
        ]  # fmt: skip
        with (self.folder / "dockerd.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        until = time.monotonic() + 60
        while not self.answers():
            if process.poll() is not None or time.monotonic() > until:
                pytest.fail((self.folder / "dockerd.log").read_text()[-2000:])
            time.sleep(0.1)
        return process

    @property
    def environment(self) -> dict[str, str]:
        """Variables that lead programs to it."""
        return {"DOCKER_HOST": self.address}

    def ask(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a `docker` command with it."""
        return subprocess.run(
            ["docker", "--host", self.address, *words], capture_output=True, text=True, check=False, timeout=60
        )

    def answers(self) -> bool:
        """Whether it can be asked."""
        return self.ask("version").returncode == 0

    def running(self) -> list[str]:
        """The containers that run."""
        return self.ask("ps", "--quiet").stdout.split()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop it, with its containers."""
        self.process.send_signal(number)
        self.process.wait(60)

    def end(self) -> None:
        """Stop it, and its containerd, which outlives one that was killed."""
        self.stop()
        file = self.folder / "exec/containerd/containerd.pid"
        if file.exists():
            with suppress(ProcessLookupError):
                os.kill(int(file.read_text()), signal.SIGTERM)

    def start_again(self) -> None:
        """Start it after a stop."""
        (self.folder / "pid").unlink(missing_ok=True)
        self.process = self._start()

    def copy_image(self, name: str) -> None:
        """Take an image over from the machine's engine."""
        with subprocess.Popen(["docker", "save", name], stdout=subprocess.PIPE) as saved:
            loaded = subprocess.run(["docker", "--host", self.address, "load"], stdin=saved.stdout, check=False)
        if saved.returncode or loaded.returncode:
            pytest.fail(f"{name}: could not be copied")
