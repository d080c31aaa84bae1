"""A plan for people: a table on a terminal, and Markdown for the comment on a pull request."""

import json
from collections.abc import Iterable, Iterator, Sequence

from transship.cli.ages import size
from transship.cli.output import Cell, Colour, clean, table
from transship.cli.planning import Planned, PlannedImage, Totals, Verdict

_COLUMNS = ("VERDICT", "SOURCE", "DESTINATION", "DIGEST", "MISSING", "WHY")
_SHORT = len("sha256:") + 12
_ARROW = "→"


def text(planned: Planned, *, verbose: bool) -> str:
    """A plan as a table, with what it comes to below."""
    rows = [
        (
            Cell(image.reason or image.verdict, _colour(image)),
            str(image.source or ""),
            str(image.destination or image.wanted.image),
            str(image.digest or "")[:_SHORT],
            missing(image),
            image.message,
        )
        for image in planned.images
    ]
    lines = [f"{clean(planned.name)} (policies of {clean(planned.policies)})"]
    lines += [table(_COLUMNS, rows)] if rows else ["no images"]
    if verbose:
        lines += [line for image in planned.images for line in _details(image)]
    return "\n".join([*lines, *summary(planned.totals, len(planned.images))])


def _colour(image: PlannedImage) -> Colour | None:
    if image.is_wrong:
        return Colour.BAD
    if image.verdict is Verdict.PRESENT:
        return Colour.GOOD
    return Colour.BUSY if image.is_to_do else None


def missing(image: PlannedImage) -> str:
    """What there is to move for an image."""
    amounts = image.amounts
    if amounts is None:
        return ""
    counts = {
        "manifests": amounts.manifests_missing,
        "blobs": len(amounts.blobs),
        "attached": len(amounts.attaching.steps),
    }
    parts = [f"{count} {name}" for name, count in counts.items() if count]
    return ", ".join([size(amounts.bytes_missing), *parts]) if amounts.missing else "a tag"


def _details(image: PlannedImage) -> Iterator[str]:
    yield clean(str(image.destination or image.wanted.image))
    yield f"  named by   {clean(', '.join(f'{each.resource} ({each.container})' for each in image.wanted.found))}"
    if image.policy:
        yield f"  policy     {clean(image.policy)}"
    if image.amounts is not None:
        yield f"  requests   {_counts(image.amounts.requests.items())}"
    for registry, actions in image.calls.items():
        yield f"  AWS calls  {_counts(actions.items())} ({registry})"
    for problem in image.amounts.attaching.problems if image.amounts is not None else ():
        yield f"  left out   {clean(str(problem))}"


def summary(totals: Totals, images: int) -> Iterator[str]:
    """What a plan comes to, a line for each thing worth saying."""
    words = {
        Verdict.COPY: "to copy",
        Verdict.ADD_TAG: "to tag",
        Verdict.PENDING: "to look at once it can be read",
        Verdict.PRESENT: "already present",
        Verdict.NOT_COVERED: "not covered",
        Verdict.REFUSED: "refused",
        Verdict.UNKNOWN: "unknown",
    }
    counts = [f"{totals.verdicts[verdict]} {word}" for verdict, word in words.items() if totals.verdicts.get(verdict)]
    yield f"{images} image{'' if images == 1 else 's'}: {', '.join(counts)}" if counts else "nothing to do"
    if totals.requests:
        parts = {
            "blobs": totals.blobs,
            "manifests": totals.manifests,
            "attached manifests among them": totals.referrers,
        }
        yield f"to move: {size(totals.bytes)} in {_counts((name, count) for name, count in parts.items() if count)}"
        yield f"requests: {_counts(totals.requests.items())}"
    for registry, actions in sorted(totals.calls.items()):
        yield f"AWS calls at {registry}: {_counts(sorted(actions.items()))}"
    for repository in totals.repositories:
        yield f"repository to create: {repository}"
    for grant in totals.grants:
        if grant.statement is not None:
            yield f"statement to add to the policy of {grant.repository}: {json.dumps(grant.statement)}"
        else:
            yield f"cannot see whether the policy of {grant.repository} has our statement: {clean(grant.problem)}"


def _counts(items: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{count} {name}" for name, count in items) or "nothing"


def markdown(plans: Sequence[Planned]) -> str:
    """Plans as a comment on a pull request."""
    return "\n\n".join(_markdown(each) for each in plans)


def _markdown(planned: Planned) -> str:
    rows = [
        f"| {_icon(image)} {_escaped(image.reason or image.verdict)} | {_code(str(image.source or ''))} {_ARROW} "
        f"{_code(str(image.destination or image.wanted.image))} | {_code(str(image.digest or '')[:_SHORT])} "
        f"| {missing(image)} | {_escaped(image.message)} |"
        for image in planned.images
    ]
    lines = [f"### Promotion plan: {_escaped(planned.name)}", ""]
    if rows:
        lines += ["| verdict | image | digest | missing | why |", "|---|---|---|---|---|", *rows, ""]
    first, *rest = summary(planned.totals, len(planned.images))
    lines += [f"**{_escaped(first)}**"]
    if rest:
        lines += ["", "<details><summary>What it costs</summary>", "", *(f"- {_escaped(each)}" for each in rest), ""]
        lines += ["</details>"]
    return "\n".join(lines)


def _icon(image: PlannedImage) -> str:
    if image.is_wrong:
        return "❌"
    return "🚚" if image.is_to_do else "✅"


def _code(text_: str) -> str:
    return f"`{clean(text_).replace('`', '')}`".replace("|", "\\|") if text_ else ""


def _escaped(text_: str) -> str:
    """Text of strangers that means nothing to Markdown, and cannot call anybody."""
    marked = clean(text_)
    for each in "\\`*_[]<>|":
        marked = marked.replace(each, f"\\{each}")
    return marked.replace("@", "@\u200b").replace("#", "#\u200b")
