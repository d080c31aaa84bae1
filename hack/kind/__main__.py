"""The commands behind `make kind` and `make kind-down`."""

import argparse
import sys
import time
from pathlib import Path

from kind import materials, plan, programs, story
from kind.programs import Programs
from localworld.errors import WorldError


def main() -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m kind", description="Everything in a kind cluster; needs Docker.")
    parser.add_argument("command", choices=("up", "down"))
    parser.add_argument("--dry-run", action="store_true", help="print the commands; nothing is needed or started")
    options = parser.parse_args()
    try:
        if options.dry_run:
            print("\n".join(shown(options.command)))
        elif options.command == "up":
            _up()
        else:
            _down()
    except WorldError as error:
        print(f"kind: {error}", file=sys.stderr)
        return 1
    return 0


def shown(command: str) -> list[str]:
    """The commands of `up` or `down`, for people."""
    if command == "down":
        return [each.shown() for each in plan.down(Programs())]
    manifests = Path(f"argo-cd@{programs.argocd_version()}", "manifests")
    authority = materials.make_authority()
    return [*(each.shown() for each in plan.up(Programs(), authority, manifests)), *story.shown()]


def _up() -> None:
    began = time.monotonic()
    found = programs.find()
    manifests = programs.argocd_manifests()
    authority = materials.make_authority()
    materials.write_trust(plan.PLACE / "certs.d", authority)
    materials.write_twin_context(plan.PLACE / "twin", Path(programs.pinned("distribution", "registry")))
    for command in plan.up(found, authority, manifests):
        print(f"\n{command.shown()}", flush=True)
        story.run(command)
    story.tell(found.kubectl, authority, Path(programs.pinned("checkout", "checkout")))
    print(f"It took {time.monotonic() - began:.0f} s.")


def _down() -> None:
    for command in plan.down(programs.find()):
        print(command.shown(), flush=True)
        story.run(command)


if __name__ == "__main__":
    sys.exit(main())
