"""`transship report`: what runs where, from what, and what waits for what, on a page that needs no server."""

import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from transship.cli.command import command
from transship.cli.kube import KubeOrAll
from transship.cli.options import OptionGroup
from transship.cli.output import Output, clean
from transship.errors import NeedsHuman, Reason


class ReportFormat(StrEnum):
    """How a report is made."""

    HTML = "html"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class ReportOutput(OptionGroup):
    """As `Output`, with other forms."""

    output: Annotated[
        ReportFormat, typer.Option("--output", "-o", help="how the report is made: for people, or for programs")
    ] = ReportFormat.HTML
    out: Annotated[
        str,
        typer.Option("--out", metavar="FILE", help="file to write, instead of standard output", show_default=False),
    ] = ""
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="say on standard error what is being done")] = False

    @property
    def plain(self) -> Output:
        """The output of other commands."""
        return Output(verbose=self.verbose)


@command
def report_command(
    *,
    filename: Annotated[
        list[str] | None,
        typer.Option(
            "--filename",
            "-f",
            metavar="FILE",
            help="what `kubectl get preq,promotionpolicies -A -o json` printed, instead of asking a cluster; - is "
            "standard input; may be repeated",
        ),
    ] = None,
    kube: KubeOrAll,
    out: ReportOutput,
) -> None:
    """Make a page of a cluster's promotions: what runs where, from which digest, and what waits for what.

    The page is one file that needs no server and fetches nothing; it can be kept and sent. Rights to list
    PromotionRequests are enough, and those to list PromotionPolicies add what is allowed.
    """
    if out.output is ReportFormat.HTML and not out.out and sys.stdout.isatty():
        raise NeedsHuman(
            Reason.INVALID_REQUEST, "a page is for a browser and not for a terminal; say --out report.html"
        )
    from transship.cli.report_sources import from_cluster, from_files  # noqa: PLC0415 - see `command`

    read = from_files(filename) if filename else from_cluster(kube.connect(out.plain), out.plain)
    if out.output is ReportFormat.HTML:
        from transship.cli.page import render  # noqa: PLC0415 - the template engine, for the page alone

        _write(out, render(read))
    else:
        from transship.cli.report_document import document  # noqa: PLC0415 - see `command`

        _write(out, document(read))


def _write(out: ReportOutput, text: str) -> None:
    if not out.out:
        sys.stdout.write(text)
        return
    try:
        Path(out.out).write_text(text, encoding="utf-8")
    except OSError as error:
        raise NeedsHuman(Reason.INVALID_REQUEST, f"{out.out} cannot be written: {error.strerror}") from error
    out.plain.say(f"wrote {clean(out.out)}")
