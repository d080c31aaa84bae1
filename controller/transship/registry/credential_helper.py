"""Docker's credential helpers: programs that know a password (docker-credential-helpers, "get").

The server's name goes in on standard input, a JSON object with `Username` and `Secret` comes out. What else it prints
is not repeated anywhere, because it may be the password. It is given a time limit, and so much room.
"""

import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, cast

from transship.errors import NeedsHuman, Reason, RetryLater
from transship.registry.auth import Login

TIME_LIMIT = 30.0
"""Seconds: some helpers ask the cloud first."""
MAX_BYTES = 64 * 1024
TOKEN_USER = "<token>"  # noqa: S105 - the user name that says the secret is an identity token

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}(?:\.exe)?\Z")
_NOT_FOUND = b"credentials not found in native keychain"


@dataclass(frozen=True, slots=True)
class CredentialHelper:
    """One helper, by the name Docker's configuration has for it; its program is looked for on PATH."""

    name: str
    time_limit: float = TIME_LIMIT

    @property
    def program(self) -> str:
        """The program's name."""
        return f"docker-credential-{self.name}"

    def get(self, server: str) -> Login | None:
        """Who we are at a server; None when the helper does not know it.

        Raises:
            NeedsHuman: Denied: there is no such program, it failed, or what it said is nothing.
            RetryLater: Unreachable: it did not answer in time.
        """
        if not _NAME.match(self.name):
            raise _broken("the Docker configuration names a credential helper by what is no name")
        path = shutil.which(self.program)
        if path is None:
            raise _broken(f"{self.program}, which the Docker configuration names, is not on PATH")
        code, output = self._run(path, server)
        if code == 0:
            return self._login(output)
        if output.strip() == _NOT_FOUND:
            return None
        raise _broken(f"{self.program} failed with exit code {code}; run it by hand to see why")

    def _run(self, path: str, server: str) -> tuple[int, bytes]:
        # A group of its own, so that what a helper has started ends with it when it has to be ended.
        process = subprocess.Popen(  # noqa: S603 - the name is checked, and it is what the configuration asks for
            [path, "get"],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        with process:
            try:
                return self._talk(process, server)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)  # not waited for yet, so the number is still its own
                raise

    def _talk(self, process: subprocess.Popen[bytes], server: str) -> tuple[int, bytes]:
        deadline = time.monotonic() + self.time_limit
        asked, said = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
        with suppress(BrokenPipeError):  # a helper need not read what it is asked; its answer counts
            asked.write(server.encode())
        asked.close()
        output = b""
        while chunk := self._chunk(said, deadline):
            output += chunk
            if len(output) > MAX_BYTES:
                raise _broken(f"{self.program} answered more than {MAX_BYTES} bytes")
        try:
            return process.wait(max(0.1, deadline - time.monotonic())), output
        except subprocess.TimeoutExpired:
            raise self._too_late() from None

    def _chunk(self, pipe: IO[bytes], deadline: float) -> bytes:
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise self._too_late()
        return os.read(pipe.fileno(), MAX_BYTES)

    def _login(self, output: bytes) -> Login | None:
        try:
            answer = json.loads(output)
            user, secret = answer["Username"], answer["Secret"]
        except (ValueError, KeyError, TypeError, RecursionError):
            user, secret = None, None
        if not isinstance(user, str) or not isinstance(secret, str):
            raise _broken(f"{self.program} answered something that is no user and secret")
        if user == TOKEN_USER:
            return Login(identity_token=secret)
        return Login(user, secret) if user or secret else None

    def _too_late(self) -> RetryLater:
        return RetryLater(Reason.UNREACHABLE, f"{self.program} did not answer within {self.time_limit:g} seconds")


def _broken(message: str) -> NeedsHuman:
    return NeedsHuman(Reason.DENIED, message)
