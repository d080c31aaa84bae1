"""The distribution process: started, watched and stopped."""

import asyncio
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

import yaml

from ecr_twin.backing import Backing
from ecr_twin.errors import ConfigError

_START_SECONDS = 20.0
_STOP_SECONDS = 10.0


class Distribution:
    """A distribution v3 process that serves on a unix socket, reachable for this user only.

    The blobs live in ``state_dir/blobs`` and outlive the process. The socket lives in a short temporary directory of
    its own, because the path of a unix socket must be short.
    """

    def __init__(self, binary: Path, state_dir: Path) -> None:
        if not binary.is_file():
            raise ConfigError(f"There is no distribution binary at {binary}.")
        self._binary = binary
        self._state_dir = state_dir
        self._run_dir = Path(tempfile.mkdtemp(prefix="ecr-twin-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.socket = str(self._run_dir / "distribution.sock")

    async def start(self, backing: Backing) -> None:
        """Start the process and wait until it answers."""
        config = self._run_dir / "config.yml"
        config.write_text(yaml.safe_dump(self._config()), encoding="utf-8")
        # setpriv (util-linux) ties the child's life to ours, so that even a killed twin leaves no process behind.
        wrapper = [setpriv, "--pdeathsig", "TERM", "--"] if (setpriv := shutil.which("setpriv")) else []
        with (self._state_dir / "distribution.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - it only forks; waiting is done in a thread
                [*wrapper, str(self._binary), "serve", str(config)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={"OTEL_TRACES_EXPORTER": "none", "PATH": "/usr/bin:/bin"},
            )  # fmt: skip
        deadline = asyncio.get_running_loop().time() + _START_SECONDS
        while not await backing.is_up():
            late = asyncio.get_running_loop().time() > deadline
            if late or self._process.poll() is not None:
                await self.stop()
                raise ConfigError(f"Distribution did not start; see {self._state_dir / 'distribution.log'}.")
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """Stop the process by its pid and remove the socket's directory."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                await asyncio.to_thread(process.wait, _STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                await asyncio.to_thread(process.wait)
        shutil.rmtree(self._run_dir, ignore_errors=True)

    def _config(self) -> dict[str, object]:
        return {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(self._state_dir / "blobs"), "maxthreads": 100},
                "maintenance": {"uploadpurging": {"enabled": False}},
            },
            "http": {"net": "unix", "addr": self.socket, "relativeurls": True, "secret": secrets.token_hex(16)},
            # The twin itself checks that the children of an index exist, against its own tables.
            "validation": {"manifests": {"indexes": {"platforms": "none"}}},
        }
