"""The commands behind `make image`, `make push` and `make sbom`."""

import argparse
import sys
from pathlib import Path

from localworld.errors import WorldError
from shipping import image, sbom


def main() -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args()
    try:
        match options.command:
            case "image":
                platforms = tuple(filter(None, options.platforms.split(",")))
                image.build(options.name, platforms, options.layout, options.builder)
            case "push":
                image.push(options.layout, options.name)
            case "sbom":
                sbom.write()
                print(f"sbom: wrote {sbom.FILE.name} to {sbom.FILE.parent}")
    except WorldError as error:
        print(f"{options.command}: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m shipping", description="The image, and what is in it.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    build = commands.add_parser("image", help="build the image; nothing is pushed")
    build.add_argument("--name", default=image.NAME, help="what it is called (default: %(default)s)")
    build.add_argument("--platforms", default="", metavar="OS/ARCH,...", help="default: that of the builder")
    build.add_argument("--layout", type=Path, help="write an OCI image layout to this folder")
    build.add_argument("--builder", default="", help="docker, podman or buildah (default: the first that answers)")
    push = commands.add_parser("push", help="push an image layout to a registry")
    push.add_argument("layout", type=Path)
    push.add_argument("name", help="REGISTRY/REPOSITORY:TAG")
    commands.add_parser("sbom", help="write dist/sbom.cdx.json")
    return parser


if __name__ == "__main__":
    sys.exit(main())
