"""A git repository of the local world: what Argo CD reads what it applies from."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from localworld.errors import WorldError

BRANCH = "main"
AUTHOR = {
    **{f"GIT_{who}_NAME": "Transship local world" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "localworld@transship.invalid" for who in ("AUTHOR", "COMMITTER")},
}
# The configuration of the user and of the machine: hooks, signing and templates have no place here.
WITHOUT_CONFIGURATION = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "GIT_TERMINAL_PROMPT": "0"}


class GitRepository:
    """A repository with one branch in a directory of its own; a context manager that removes it.

    Attributes:
        directory: The work tree.
    """

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="transship-git-"))
        self._git("init", "--quiet", f"--initial-branch={BRANCH}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """What a client on this machine clones it by."""
        return self.directory.as_uri()

    @property
    def head(self) -> str:
        """The newest commit."""
        return self._git("rev-parse", "HEAD")

    def commit(self, files: Mapping[str, str | None], message: str = "Change") -> str:
        """Write files by their path (None removes one), and commit them; returns the commit."""
        for name, content in files.items():
            path = self.directory / name
            if content is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content, encoding="utf-8")
        return self._commit(message)

    def copy(self, folder: Path, name: str = ".", message: str = "Add") -> str:
        """Put a folder's files into one of the repository, and commit them; returns the commit."""
        shutil.copytree(folder, self.directory / name, dirs_exist_ok=True)
        return self._commit(message)

    def edit(self, name: str, old: str, new: str, message: str = "Edit") -> str:
        """Replace a text of a file, and commit it; returns the commit.

        Raises:
            WorldError: The text is not in the file.
        """
        content = (self.directory / name).read_text(encoding="utf-8")
        if old not in content:
            raise WorldError(f"{name} does not have {old!r}.")
        return self.commit({name: content.replace(old, new)}, message)

    def close(self) -> None:
        """Remove the repository."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def _commit(self, message: str) -> str:
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", f"--message={message}")
        return self.head

    def _git(self, *arguments: str) -> str:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        result = subprocess.run(
            ["git", *arguments],
            cwd=self.directory,
            env=inherited | AUTHOR | WITHOUT_CONFIGURATION,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise WorldError(f"git {arguments[0]} failed: {result.stderr.strip()}")
        return result.stdout.strip()
