"""`transship copy`: any image from any registry to any other, without a cluster."""

from enum import StrEnum
from typing import Annotated

import typer

from transship.cli.command import command
from transship.cli.output import Output


class Mode(StrEnum):
    """What becomes of what is attached to an image."""

    REQUIRE = "require"
    BEST_EFFORT = "best-effort"
    IGNORE = "ignore"


@command
def copy_command(  # noqa: PLR0913 - a command's options
    source: Annotated[str, typer.Argument(help="image to read: registry/repository with :tag, @digest or both")],
    destination: Annotated[
        str, typer.Argument(help="image to write; without tag and digest it keeps those of the source")
    ],
    *,
    all_tags: Annotated[
        bool, typer.Option("--all-tags", help="copy every tag; SOURCE and DESTINATION are repositories then")
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="say what would be copied, and copy nothing; exit status 2 if anything")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="let a tag at the destination move to another digest")
    ] = False,
    referrers: Annotated[
        Mode, typer.Option("--referrers", help="signatures, SBOMs and attestations: whether they have to come along")
    ] = Mode.BEST_EFFORT,
    plain_http: Annotated[
        list[str] | None,
        typer.Option("--plain-http", metavar="HOST[:PORT]", help="registry without TLS; may be this machine"),
    ] = None,
    local: Annotated[
        list[str] | None,
        typer.Option("--local", metavar="HOST[:PORT]", help="registry with TLS that may be this machine or an address"),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="show no progress")] = False,
    images: Annotated[int, typer.Option(min=1, max=256, help="images at once")] = 64,
    blobs: Annotated[int, typer.Option(min=1, max=256, help="blobs at once")] = 48,
    ranges: Annotated[int, typer.Option(min=0, max=256, help="connections that may join to read large blobs")] = 20,
    memory: Annotated[int, typer.Option(min=4, max=4096, help="MiB that all blobs on their way share")] = 64,
    out: Output,
) -> None:
    """Copy an image exactly: every manifest and blob as it is, tag and digest kept, and proven at the end.

    Registries of ECR are asked with AWS's credentials (environment, profile, role), others with those that
    `docker login` keeps. SSL_CERT_FILE names certificate authorities, HTTPS_PROXY a proxy; what `transship settings`
    prints of registries, AWS and authorities counts as well.

    What arrived stays when a copy fails or is stopped, and is not sent again.
    """
    from transship.cli.copies import Asked, Pace, copy_all  # noqa: PLC0415 - see `command`
    from transship.oci.referrers import Referrers  # noqa: PLC0415

    asked = Asked(
        source,
        destination,
        all_tags=all_tags,
        plan=plan,
        overwrite=overwrite,
        referrers=Referrers[referrers.name],
        plain_http=tuple(plain_http or ()),
        local=tuple(local or ()),
    )
    copy_all(asked, Pace(images, blobs, ranges, memory), out, quiet=quiet)
