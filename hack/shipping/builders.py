"""Programs that build images from a Dockerfile, and how each is told the same.

The ones that people have come first; where there is none, Debian's buildah is unpacked into the cache. It needs neither
a daemon nor an installation.
"""

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from localworld import debian, paths
from localworld.errors import WorldError

PROBE_SECONDS = 20.0
MACHINES = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}
IGNORED = "-"  # before a command that may fail, as in make
PROOF = "transship-proof"  # the container that shows that what was built starts
_TRUST = {"default": [{"type": "insecureAcceptAnything"}]}  # base images are pinned by digest


@dataclass(frozen=True)
class Wanted:
    """One build.

    Attributes:
        name: What the image is called in the store of the builder.
        context: The folder that is built from; its Dockerfile is the one.
        platforms: As `linux/arm64`; empty for that of the builder.
        arguments: Values of the Dockerfile's ARGs.
        layout: Where an OCI image layout is written, if any.
        folders: Folders of this machine that the build can read, with their places there. buildah and podman only.
        is_fresh: Whether nothing that was built before is taken.
    """

    name: str
    context: Path = paths.REPOSITORY
    platforms: tuple[str, ...] = ()
    arguments: Mapping[str, str] = field(default_factory=dict)
    layout: Path | None = None
    folders: Mapping[Path, str] = field(default_factory=dict)
    is_fresh: bool = False

    @property
    def is_for_here(self) -> bool:
        """Whether what is built can be started on this machine."""
        return not self.platforms or MACHINES.get(platform.machine()) in self.platforms

    def options(self) -> Iterator[str]:
        """What all builders understand alike."""
        yield from (f"--build-arg={name}={value}" for name, value in self.arguments.items())
        if self.platforms:
            yield f"--platform={','.join(self.platforms)}"
        if self.is_fresh:
            yield "--no-cache"


@dataclass(frozen=True)
class Builder:
    """One program, and the commands it does a build by.

    Attributes:
        name: For people.
        program: The beginning of every command.
        plan: What follows the program, command by command.
        environment: Further variables.
    """

    name: str
    program: tuple[str, ...]
    plan: Callable[[Wanted], Iterator[list[str]]]
    environment: Mapping[str, str] = field(default_factory=dict)

    def build(self, wanted: Wanted) -> None:
        """Build, and start what was built once where that is possible.

        Raises:
            WorldError: A command failed; what it wrote stands above.
        """
        for arguments in self.plan(wanted):
            if arguments[0] == IGNORED:
                self._run(arguments[1:], is_quiet=True)
            elif self._run(arguments) != 0:
                raise WorldError(
                    f"{self.name} {arguments[0]} failed, as it says above, and there is no image. Where the base "
                    "images cannot be pulled give others: make image BUILD_IMAGE=... RUNTIME_IMAGE=... PYTHON=3.x"
                )

    def _run(self, arguments: Sequence[str], *, is_quiet: bool = False) -> int:
        command = [*self.program, *arguments]
        return subprocess.run(
            command, env=os.environ | self.environment, capture_output=is_quiet, check=False
        ).returncode


def find(name: str = "") -> Builder:
    """The builder of that name, or the first that answers.

    Raises:
        WorldError: There is none.
    """
    known: Mapping[str, Callable[[], Builder | None]] = {
        "docker": _docker,
        "podman": lambda: _installed("podman", ("podman", "info")),
        "buildah": lambda: _installed("buildah", ("buildah", "version")),
    }
    if name and name not in known:
        raise WorldError(f"No builder is called {name}: there are {', '.join(known)}.")
    for look in [known[name]] if name else known.values():
        if found := look():
            return found
    if name:
        raise WorldError(f"{name} does not answer: start it, or leave BUILDER out to have another one chosen.")
    if reason := why_no_buildah():
        raise WorldError(f"Nothing here builds images: install docker with buildx, podman or buildah. {reason}")
    return unpacked_buildah(paths.cache() / "images")


def why_no_buildah() -> str | None:
    """Why Debian's buildah cannot be used without being installed, as one sentence; None when it can."""
    if os.geteuid() != 0:
        return "Debian's buildah would be unpacked into the cache, and that one needs root."
    if not debian.is_here("buildah") and shutil.which("apt-get") is None:
        return "Debian's buildah would be unpacked into the cache, and this machine has no apt-get."
    return None


def unpacked_buildah(store: Path) -> Builder:
    """Debian's buildah out of the cache, with its images in a folder of its own.

    Raises:
        WorldError: The package cannot be had.
    """
    debian.ensure("buildah")
    store.mkdir(parents=True, exist_ok=True)
    trust = store / "policy.json"
    trust.write_text(json.dumps(_TRUST), encoding="utf-8")
    folders = (f"--root={store / 'storage'}", f"--runroot={store / 'run'}")
    return Builder(
        "buildah (Debian's, unpacked)",
        # What it mounts goes with it: a folder with mounts left in it cannot be removed.
        ("unshare", "--mount", str(debian.find("buildah", "buildah")), *folders),
        lambda wanted: _with_buildah(wanted, [f"--signature-policy={trust}"]),
        debian.environment("buildah"),
    )


def _docker() -> Builder | None:
    answers = all(_answers("docker", *command) for command in (("info",), ("buildx", "version")))
    return Builder("docker", ("docker",), with_docker) if answers else None


def _installed(name: str, probe: Sequence[str]) -> Builder | None:
    plan = _with_podman if name == "podman" else _with_buildah
    return Builder(name, (name,), plan) if _answers(*probe) else None


def _answers(*command: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    try:
        return subprocess.run(command, capture_output=True, timeout=PROBE_SECONDS, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def with_docker(wanted: Wanted) -> Iterator[list[str]]:
    """What docker is told, command by command."""
    if wanted.layout is None:
        yield ["buildx", "build", *wanted.options(), f"--tag={wanted.name}", "--load", str(wanted.context)]
        if wanted.is_for_here:
            yield ["run", "--rm", "--read-only", wanted.name, "version"]
    else:
        # Only this output gives files of the layers the time that is asked for.
        output = f"type=oci,tar=false,dest={wanted.layout},name={wanted.name},rewrite-timestamp=true"
        yield ["buildx", "build", *wanted.options(), f"--output={output}", "--provenance=false", str(wanted.context)]


def _with_podman(wanted: Wanted) -> Iterator[list[str]]:
    yield from _podman_or_buildah(wanted, [])
    if wanted.is_for_here:
        yield ["run", "--rm", "--read-only", wanted.name, "version"]


def _with_buildah(wanted: Wanted, trust: Sequence[str] = ()) -> Iterator[list[str]]:
    isolation = "--isolation=chroot"  # no runtime has to be there
    yield from _podman_or_buildah(wanted, [*trust, isolation])
    if wanted.is_for_here:
        yield [IGNORED, "rm", PROOF]
        yield ["from", *trust, f"--name={PROOF}", wanted.name]
        yield ["run", isolation, PROOF, "--", "/usr/bin/python3", "-m", "transship", "version"]
        yield ["rm", PROOF]


def _podman_or_buildah(wanted: Wanted, own: Sequence[str]) -> Iterator[list[str]]:
    is_many = len(wanted.platforms) > 1
    if is_many:
        yield [IGNORED, "manifest", "rm", wanted.name]  # what is built would be added to it
    epoch = wanted.arguments.get("SOURCE_DATE_EPOCH", "0")
    # Without layers, dependencies and code would become one.
    yield [
        *("build", "--layers", "--force-rm", "--format=oci", f"--timestamp={epoch}", *own, *wanted.options()),
        *(f"--volume={folder}:{place}:ro" for folder, place in wanted.folders.items()),
        f"--{'manifest' if is_many else 'tag'}={wanted.name}",
        str(wanted.context),
    ]
    if wanted.layout is not None:
        trust = [option for option in own if option.startswith("--signature-policy")]
        kind = ["manifest", "push", "--all"] if is_many else ["push"]
        yield [*kind, *trust, wanted.name, f"oci:{wanted.layout}"]
