"""The commands behind `make image`, `make push`, `make sbom`, `make chart` and the rest of a release."""

import argparse
import sys
from pathlib import Path

from localworld.errors import WorldError
from shipping import chart, image, release, sbom


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
            case "chart":
                print(f"chart: wrote {chart.package()}")
            case "push-chart":
                chart.push(options.destination)
            case "release-check":
                release.check(options.tag)
            case "sign":
                release.sign(options.reference)
    except WorldError as error:
        print(f"{options.command}: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m shipping", description="The image, what is in it, and the chart.")
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
    commands.add_parser("chart", help="write dist/transship-VERSION.tgz")
    push_chart = commands.add_parser("push-chart", help="push the chart to a registry")
    push_chart.add_argument("destination", help="oci://REGISTRY/FOLDER")
    check = commands.add_parser("release-check", help="see that a tag may be released")
    check.add_argument("tag", help="as v0.1.0")
    sign = commands.add_parser("sign", help="sign an image or a chart with cosign, keyless")
    sign.add_argument("reference", help="NAME@sha256:...")
    return parser


if __name__ == "__main__":
    sys.exit(main())
