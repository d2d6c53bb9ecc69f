"""A Podman of the tests' own, of the user who tests or of an ordinary one: the machine's own is never touched."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

SETTINGS = """
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
netns = "host"
[engine]
runtime = "runc"
"""
"""Podman raises both limits unless it is told, which root may not do everywhere; runc runs also where version 2 of
cgroups is mounted beside version 1, which crun refuses."""


class OwnPodman:
    """`podman system service` with its own folder and socket.

    Attributes:
        user: whose it is.
        address: for DOCKER_HOST.
        folder: what its user may read and write.
    """

    def __init__(self, user: pwd.struct_passwd) -> None:
        self.user = user
        # Not below pytest's folders: those are closed to other users. Short, since it is in the path of a socket.
        self.folder = Path(tempfile.mkdtemp(prefix="lq-podman-"))
        (self.folder / "containers.conf").write_text(SETTINGS, encoding="utf-8")
        os.chown(self.folder, user.pw_uid, user.pw_gid)
        self.folder.chmod(0o755)
        self.address = f"unix://{self.folder}/socket"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it.

        Raises:
            OSError: it does not answer within a minute; the message says what it printed.
        """
        log = self.folder.with_suffix(".log")
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [*self._command, "system", "service", "--time=0", self.address],
                stdout=stream,
                stderr=stream,
                start_new_session=True,
                **self._as_user,
            )
        until = time.monotonic() + 60
        while self.ask("version").returncode:
            if self.process.poll() is not None or time.monotonic() > until:
                raise OSError(f"podman does not start: {log.read_text(errors='replace')[-500:]}")
            time.sleep(0.1)

    def load(self, *images: str) -> None:
        """Take images over from the machine's Docker engine."""
        with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as saved:
            subprocess.run(
                [*self._command, "load"], stdin=saved.stdout, check=True, capture_output=True, **self._as_user
            )

    def try_container(self, image: str) -> None:
        """Run a container.

        Raises:
            OSError: it fails; the message says why.
        """
        result = self.ask("run", "--rm", "--network=none", "--entrypoint=true", image)
        if result.returncode:
            raise OSError(f"podman starts no container: {result.stderr.strip()[-500:]}")

    def ask(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Ask it through its socket."""
        command = ["podman", "--url", self.address, *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    def end(self) -> None:
        """Stop it, and remove its folder with the files of subordinate users."""
        if self.process:
            # A rootless one has started itself again, in a namespace of its user.
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(60)
        if self.user.pw_uid:
            subprocess.run(
                ["podman", "unshare", "rm", "-rf", self.folder / "store"], check=False, capture_output=True,
                **self._as_user,
            )  # fmt: skip
        else:
            subprocess.run([*self._command, "system", "reset", "--force"], check=False, capture_output=True)
        for holder in self.folder.rglob("pause.pid"):  # a process that keeps the namespace
            with suppress(ProcessLookupError):
                os.kill(int(holder.read_text()), signal.SIGTERM)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.with_suffix(".log").unlink(missing_ok=True)

    @property
    def _command(self) -> list[str]:
        # All three, or a rootless Podman remembers those of its user.
        folders = {"root": "store", "runroot": "run", "tmpdir": "tmp"}
        return ["podman", "--storage-driver=overlay", *(f"--{key}={self.folder / at}" for key, at in folders.items())]

    @property
    def _as_user(self) -> dict[str, Any]:
        """Arguments of `subprocess` that start a program as the user."""
        variables = {
            "PATH": os.defpath + ":/usr/sbin:/sbin", "HOME": str(self.folder), "XDG_RUNTIME_DIR": str(self.folder),
            "CONTAINERS_CONF": str(self.folder / "containers.conf"), "USER": self.user.pw_name,
        }  # fmt: skip
        other = self.user.pw_uid != os.getuid()
        ids = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if other else {}
        return {"env": variables, "cwd": self.folder, **ids}


def find_user(*, rootless: bool) -> pwd.struct_passwd:
    """Find a user whose Podman can be tested: this one, or for root and a rootless one, another with subordinate ids."""
    if shutil.which("podman") is None:
        pytest.skip("podman is not on the path; Debian has it as the package `podman`")
    if not rootless and os.getuid():
        pytest.skip("Podman of root needs root")
    with_ids = [_names(Path(file)) for file in ("/etc/subuid", "/etc/subgid")]
    for name in sorted(set.intersection(*with_ids)) if rootless else ["root"]:
        with suppress(KeyError):
            user = pwd.getpwnam(name)
            if os.getuid() in (0, user.pw_uid):
                return user
    pytest.skip("rootless Podman needs an ordinary user with subordinate ids in /etc/subuid; `useradd` makes one")


def _names(file: Path) -> set[str]:
    return {line.split(":")[0] for line in file.read_text().splitlines()} if file.exists() else set()
