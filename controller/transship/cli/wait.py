"""`transship wait`: until promotions are ready, or until it is known that somebody has to act."""

import time
from typing import Annotated

import typer

from transship.cli import exits
from transship.cli.command import command
from transship.cli.exits import Exit
from transship.cli.kube import Kube
from transship.cli.naming import RESOURCE, owner_named, request_named
from transship.cli.output import Output
from transship.errors import NeedsHuman, Reason


@command
def wait(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="PromotionRequests")] = None,
    *,
    owners: Annotated[
        list[str] | None,
        typer.Option(
            "--for",
            metavar="KIND/NAME",
            help="the newest request of a workload or hook, such as job/promote-images, also if there is none yet; may "
            "be repeated",
        ),
    ] = None,
    timeout: Annotated[str, typer.Option(help="how long to wait in all, such as 90s or 15m")] = "30m",
    kube: Kube,
    out: Output,
) -> None:
    """Wait until every promotion is Ready, or one is Stalled.

    The exit code says which: 0 when all are Ready, 3 when the time is over, and from 10 on the reason of the first that
    has stalled (docs/cli.md#exit-codes). Verdicts about an older spec do not count.
    """
    from transship.cli.waiting import Waiting, line  # noqa: PLC0415 - see `command`
    from transship.promotion.duration import parse_duration  # noqa: PLC0415

    if not names and not owners:
        raise NeedsHuman(Reason.INVALID_REQUEST, "name PromotionRequests, or a workload or hook by --for")
    try:
        seconds = parse_duration(timeout)
    except ValueError as error:
        raise NeedsHuman(Reason.INVALID_REQUEST, f"--timeout: {error}") from error
    wanted = [request_named(each) for each in names or ()]
    waiting = Waiting(kube.connect(out), wanted, [owner_named(each) for each in owners or ()], out)
    ended = waiting.until(time.monotonic() + seconds)
    document = [
        {"name": each.name, "ready": each.is_ready, "reason": each.reason, "message": each.message} for each in ended
    ]
    out.show(document, lambda: "\n".join(line(each) for each in ended), [f"{RESOURCE}/{each.name}" for each in ended])
    stalled = next((each for each in ended if not each.is_ready), None)
    if stalled is not None:
        raise typer.Exit(exits.stalled(stalled.reason))
    missing = waiting.missing(ended)
    if missing:
        out.say(f"transship: not Ready within {timeout}: {'; '.join(missing)}")
        raise typer.Exit(Exit.TIMED_OUT)
