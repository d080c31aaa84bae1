"""The pinned Go tools, built from their modules into the per-user cache.

Each folder of `hack/tools` is a Go module whose `go.mod` and `go.sum` pin one tool and everything it is made of; a tool
of our own has its source there, too. What comes out is kept under `<cache>/tools/<name>-<key>/`, where the key is a
digest of the pins, of such sources and of how they are built: a fresh clone finds what another clone has built, and a
changed pin is a new directory.
"""

import hashlib
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from localworld import locks, paths, processes, toolchain
from localworld.errors import WorldError

LINKER_FLAGS = "-s -w"
LOG_TAIL_LINES = 15
PROGRESS_PERIOD = 20.0  # seconds between two lines


@dataclass(frozen=True)
class Tool:
    """One module of `hack/tools`.

    Attributes:
        name: The folder's name.
        binaries: What `go build` writes (the last part of the package path), and what we call it.
        estimate: How long a first build takes, measured on two cores with empty caches.
        files: What else is kept of the module that the binaries are in, by its path there: what runs later needs
            neither Go nor its module cache.
        kubernetes: Whether the binaries are Kubernetes', which takes its version from the linker: without it an API
            server calls itself v0.0.0, and a chart refuses to be installed.
    """

    name: str
    binaries: dict[str, str]
    estimate: str
    files: tuple[str, ...] = ()
    kubernetes: bool = False

    @property
    def module(self) -> Path:
        """The folder of the pins."""
        return paths.TOOL_MODULES / self.name

    @property
    def linker_flags(self) -> str:
        """What `go build` is given as -ldflags."""
        if not self.kubernetes:
            return LINKER_FLAGS
        pins = (self.module / "go.mod").read_text()
        version = next(line.split()[1] for line in pins.splitlines() if line.strip().startswith("k8s.io/kubernetes "))
        major, minor, _ = version.removeprefix("v").split(".")
        named = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
        return " ".join(
            (LINKER_FLAGS, *(f"-X k8s.io/component-base/version.{key}={value}" for key, value in named.items()))
        )

    def key(self) -> str:
        """Changes with the pins and sources, with the way they are built, and with the kind of machine."""
        digest = hashlib.sha256()
        for source in ("go.mod", "go.sum", *sorted(file.name for file in self.module.glob("*.go"))):
            digest.update((self.module / source).read_bytes())
        flags = toolchain.environment()
        digest.update(f"{self.linker_flags}|{flags['GOFLAGS']}|{flags['CGO_ENABLED']}|{platform.machine()}".encode())
        digest.update("|".join(self.files).encode())
        return digest.hexdigest()[:12]

    @property
    def directory(self) -> Path:
        """Where the built binaries are, or will be."""
        return paths.cache() / "tools" / f"{self.name}-{self.key()}"

    def is_built(self) -> bool:
        """The directory appears by a rename, so when it is there it is whole."""
        return self.directory.is_dir()

    def path(self, binary: str) -> Path:
        """Where a binary of this tool is, or will be."""
        return self.directory / binary

    def file(self, path: str) -> Path:
        """Where one of `files` is, or will be."""
        return self.directory / Path(path).name


# Small ones first: tests that need only these do not wait for Kubernetes.
TOOLS = {
    tool.name: tool
    for tool in (
        Tool("kustomize", {"kustomize": "kustomize"}, "a minute"),
        Tool("crane", {"crane": "crane"}, "half a minute"),
        Tool("regctl", {"regctl": "regctl"}, "half a minute"),
        Tool(
            "prometheusoperator",
            {"po-rule-migration": "po-rule-migration"},
            "half a minute",
            files=tuple(
                f"example/prometheus-operator-crd/monitoring.coreos.com_{plural}.yaml"
                for plural in ("prometheusrules", "servicemonitors", "podmonitors")
            ),
        ),
        Tool("helm3", {"helm": "helm3"}, "two minutes"),
        Tool("helm4", {"helm": "helm4"}, "two minutes"),
        Tool("delayline", {"delayline": "delayline"}, "half a minute"),
        Tool("checkout", {"checkout": "checkout"}, "half a minute"),
        Tool("actionlint", {"actionlint": "actionlint"}, "half a minute"),
        Tool("kind", {"kind": "kind"}, "half a minute"),
        Tool("etcd", {"server": "etcd"}, "a minute"),
        Tool("distribution", {"registry": "registry"}, "two minutes"),
        Tool(
            "kubernetes",
            {name: name for name in ("kube-apiserver", "kube-controller-manager", "kubectl")},
            "eight minutes",
            kubernetes=True,
        ),
        Tool(
            "argocd",
            {"cmd": "argocd"},
            "six minutes",
            files=(
                "manifests/crds/application-crd.yaml",
                "manifests/crds/appproject-crd.yaml",
                "manifests/base/config/argocd-cm.yaml",
            ),
        ),
        Tool("node", {name: name for name in ("kubelet", "kube-scheduler")}, "two minutes", kubernetes=True),
    )
}

Say = Callable[[str], None]


def say(line: str) -> None:
    """Print at once, also into a pipe."""
    print(line, flush=True)


def missing(names: Iterable[str] = TOOLS) -> list[Tool]:
    """Those that are not in the cache yet, in the order they would be built."""
    wanted = set(names)
    return [tool for tool in TOOLS.values() if tool.name in wanted and not tool.is_built()]


def ensure(names: Iterable[str] = TOOLS, tell: Say = say) -> None:
    """Build what is missing, one after the other; returns at once when nothing is.

    Raises:
        WorldError: A build failed; the message ends with the last lines of its log and says where the log is.
    """
    for tool in missing(names):
        _ensure_one(tool, tell)


def _ensure_one(tool: Tool, tell: Say) -> None:
    lock = paths.cache() / "tools" / f"{tool.name}.lock"
    waiting = f"{tool.name}: another run is building it (about {tool.estimate} on two cores), waiting"
    with locks.exclusive(lock, when_waiting=lambda: tell(waiting)):
        if not tool.is_built():
            _build(tool, tell)


def _build(tool: Tool, tell: Say) -> None:
    go = toolchain.find_go()
    scratch = tool.directory.with_suffix(".part")
    shutil.rmtree(scratch, ignore_errors=True)  # of a run that was killed: whoever holds the lock is the only builder
    scratch.mkdir(parents=True)
    tell(f"{tool.name}: building, about {tool.estimate} on two cores, the first time only")
    began = time.monotonic()
    _run(tool, [str(go), "build", "-v", "-ldflags", tool.linker_flags, "-o", f"{scratch}/", "tool"], tell)
    for written, wanted in tool.binaries.items():
        (scratch / written).rename(scratch / wanted)
    if tool.files:
        _keep_files(tool, go, scratch)
    scratch.rename(tool.directory)
    tell(f"{tool.name}: built in {_elapsed(began)}")


def _keep_files(tool: Tool, go: Path, scratch: Path) -> None:
    command = [str(go), "list", "-f", "{{.Module.Dir}}", "tool"]
    result = subprocess.run(
        command, cwd=tool.module, env=toolchain.environment(), capture_output=True, text=True, check=False
    )
    folders = result.stdout.split()
    if len(folders) != 1:
        raise WorldError(f"{tool.name}: the module of the tool was not found, so its files are not: {result.stderr}")
    for path in tool.files:
        shutil.copyfile(Path(folders[0], path), scratch / Path(path).name)


def _run(tool: Tool, command: list[str], tell: Say) -> None:
    log = tool.directory.parent / f"{tool.name}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            processes.tethered(command),
            cwd=tool.module,
            env=toolchain.environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _follow(process, tool, log, tell)
        finally:
            process.kill()
            process.wait()
    if process.returncode != 0:
        tail = "\n".join(log.read_text().splitlines()[-LOG_TAIL_LINES:])
        raise WorldError(f"{tool.name} could not be built; the whole log is {log}, and it ends with:\n{tail}")


def _follow(process: "subprocess.Popen[bytes]", tool: Tool, log: Path, tell: Say) -> None:
    """Say now and then that the build goes on; `go build -v` prints a line for every package it has to compile."""
    began = time.monotonic()
    while process.poll() is None:
        try:
            process.wait(PROGRESS_PERIOD)
        except subprocess.TimeoutExpired:
            compiled = sum(1 for line in log.read_text().splitlines() if not line.startswith("go: "))
            tell(f"{tool.name}: {_elapsed(began)}, {compiled} packages compiled (about {tool.estimate} in all)")


def _elapsed(began: float) -> str:
    minutes, seconds = divmod(round(time.monotonic() - began), 60)
    return f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"
