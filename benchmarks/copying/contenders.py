"""Who copies, and with which commands: those that somebody would type who has read the tool's help."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from copying import scenarios
from copying.world import World
from localworld import tools

NEEDS = ("delayline", "crane", "regctl", "distribution")
HELP_SECONDS = 60.0
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OURS = (sys.executable, "-m", "transship")
ALL_TAGS = "--all-tags"

Commands = Callable[[World], list[list[str]]]


@dataclass(frozen=True)
class Contender:
    """One row of a scenario's table.

    Attributes:
        name: as in `scenarios`.
        commands: what is run for a world; each image on its own, or all of them by one command.
        parallel: how many of the commands run at a time.
        missing: why it cannot be run, as a sentence; empty when it can.
    """

    name: str
    commands: Commands
    parallel: int = 1
    missing: str = ""


def choose(peers: Sequence[str]) -> list[Contender]:
    """Ours first, then the peers in the order of the scenario."""
    return [ours(), *(PEERS[name] for name in peers)]


def environment(world: World, home: Path) -> list[str]:
    """What a client finds: credentials, whom to trust, and an empty home, so that it starts without a cache."""
    values = {
        "PATH": PATH,
        "HOME": str(home),
        "TMPDIR": str(home),
        "XDG_RUNTIME_DIR": str(home),
        "XDG_DATA_HOME": str(home / "data"),
        "DOCKER_CONFIG": str(world.docker_config),
        "REGISTRY_AUTH_FILE": str(world.docker_config / "config.json"),
        # skopeo keeps what it knows about blobs in /var/lib when it is root, as it is in our namespace.
        "_CONTAINERS_ROOTLESS_UID": "1000",
    }
    if world.authority is not None:
        values["SSL_CERT_FILE"] = str(world.authority)
    return [f"{name}={value}" for name, value in values.items()]


def versions() -> dict[str, str]:
    """What each program says it is."""
    said = {
        "transship": _output([*OURS, "version"]).removeprefix("transship "),
        "crane": _output([_pinned("crane"), "version"]),
        "regctl": _output([_pinned("regctl"), "version", "--format", "{{.VCSTag}}"]),
    }
    found = shutil.which("skopeo", path=PATH)
    return said | {
        "skopeo": _output([found, "--version"]).removeprefix("skopeo version ") if found else "not installed"
    }


def ours() -> Contender:
    """`transship copy`, when there is such a command."""
    result = _ask([*OURS, "copy", "--help"])
    if result.returncode != 0:
        why = "`transship copy --help` fails, so there is nothing of ours to measure"
        return Contender(scenarios.OURS, lambda _: [], missing=why)
    takes_all = ALL_TAGS in result.stdout

    def commands(world: World) -> list[list[str]]:
        if takes_all and len(world.content.images) > 1:
            return [_ours(world, [ALL_TAGS, world.repository(at="source"), world.repository(at="destination")])]
        return [_ours(world, pair) for pair in _pairs(world)]

    return Contender(scenarios.OURS, commands)


def _ours(world: World, arguments: list[str]) -> list[str]:
    hosts = (world.places.source.host, world.places.destination.host) if world.is_plain else ()
    return [*OURS, "copy", *(option for host in hosts for option in ("--plain-http", host)), *arguments]


def _crane(*options: str) -> Commands:
    def commands(world: World) -> list[list[str]]:
        line = [_pinned("crane"), *(["--insecure"] if world.is_plain else []), "copy", *options]
        if "-a" in options:
            return [[*line, world.repository(at="source"), world.repository(at="destination")]]
        return [[*line, *pair] for pair in _pairs(world)]

    return commands


def _regctl(world: World) -> list[list[str]]:
    hosts = (world.places.source.host, world.places.destination.host) if world.is_plain else ()
    plain = [option for host in hosts for option in ("--host", f"reg={host},tls=disabled")]
    return [[_pinned("regctl"), *plain, "image", "copy", *pair] for pair in _pairs(world)]


def _skopeo(world: World) -> list[list[str]]:
    plain = ["--src-tls-verify=false", "--dest-tls-verify=false"] if world.is_plain else []
    line = [shutil.which("skopeo", path=PATH) or "skopeo", "--insecure-policy", "copy", *plain]
    return [[*line, f"docker://{source}", f"docker://{destination}"] for source, destination in _pairs(world)]


def _pairs(world: World) -> list[list[str]]:
    return [
        [world.reference(image.tag, at="source"), world.reference(image.tag, at="destination")]
        for image in world.content.images
    ]


def _pinned(name: str) -> str:
    return str(tools.TOOLS[name].path(name))


def _ask(command: list[str]) -> "subprocess.CompletedProcess[str]":
    # An empty environment, as the runs have; what Python compiles now, it need not compile in the first run.
    return subprocess.run(
        command, env={"PATH": PATH}, capture_output=True, text=True, check=False, timeout=HELP_SECONDS
    )


def _output(command: list[str]) -> str:
    result = _ask(command)
    return result.stdout.strip() if result.returncode == 0 else "unknown"


def _all() -> dict[str, Contender]:
    no_skopeo = "" if shutil.which("skopeo", path=PATH) else "skopeo is not installed"
    crane = Contender(scenarios.CRANE, _crane())
    regctl = Contender(scenarios.REGCTL, _regctl)
    skopeo = Contender(scenarios.SKOPEO, _skopeo, missing=no_skopeo)
    made = (
        crane,
        regctl,
        skopeo,
        Contender(scenarios.CRANE_J12, _crane("-j", "12")),
        # For many images these are loops by themselves: a command for each.
        replace(crane, name=scenarios.CRANE_LOOP),
        replace(regctl, name=scenarios.REGCTL_LOOP),
        replace(skopeo, name=scenarios.SKOPEO_LOOP),
        Contender(scenarios.CRANE_ALL, _crane("-a")),
        Contender(scenarios.CRANE_ALL_J32, _crane("-a", "-j", "32")),
        replace(crane, name=scenarios.CRANE_P8, parallel=8),
    )
    return {contender.name: contender for contender in made}


PEERS = _all()
