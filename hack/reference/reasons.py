"""docs/reasons.md: every reason with what it means, what happens next and what to do."""

import re
from collections.abc import Iterator

from reference.schemas import ROOT
from transship.promotion.advice import ADVICE, Next

PAGE = ROOT / "docs/reasons.md"
_HEAD = """\
# Reasons

<!-- Written by `make reference` from transship.promotion.advice; change that and not this page. -->

The reason of a condition, an Event, an image, a log line and a metric comes from this list, and from no other.
`kubectl get promotionrequests.transship.dev` shows a request's in the column Reason, which is that of its first image
that did not make it; [`transship explain`](how-to/explain.md) tells it in a paragraph.
"""
_GROUPS = {
    Next.STATE: ("States", "Where a request stands while nothing is wrong."),
    Next.STALLS: (
        "What somebody has to change",
        """\
These stall a request (condition `Stalled`) and fail a waiting hook. A stalled request is still looked at: after ten
seconds at first, then later and later, up to every five minutes (`TRANSSHIP_STALLED_RECHECK`). It heals by itself when
the cause is gone, and nobody has to make it anew.""",
    ),
    Next.TOLD: (
        "What is told",
        """\
These are said of a workload, a hook or a request, whatever becomes of its images. Nothing is stalled by them.""",
    ),
    Next.KEPT: (
        "How a policy stands",
        """\
These stand in the conditions of a PromotionPolicy, never in those of a request, and nothing is stalled by them. Where
something cannot be as it should, the condition has one of the other reasons.""",
    ),
    Next.RETRIED: (
        "What heals by itself",
        """\
These are tried again, later and later, until the request's `spec.timeout`; then it is stalled with `Timeout`.""",
    ),
}
_CODE = re.compile(r"(?<![\w`])((?:spec|destinationRepository)\.\w+(?:: \S+\w)?|sourceGrace|manifests/\w+)")


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_overview(), *(line for group in _GROUPS for line in _group(group))]).rstrip("\n") + "\n"


def _overview() -> Iterator[str]:
    yield "| reason | |\n|---|---|"
    for reason, advice in ADVICE.items():
        yield f"| [`{reason}`](#{reason.lower()}) | {_marked(advice.meaning)} |"
    yield ""


def _group(group: Next) -> Iterator[str]:
    title, text = _GROUPS[group]
    yield f"## {title}\n\n{text}\n"
    for reason, advice in ADVICE.items():
        if advice.next is group:
            yield f"### {reason}\n\n{_marked(advice.meaning)}\n\n**What to do:** {_marked(advice.remedy)}\n"


def _marked(text: str) -> str:
    return _CODE.sub(r"`\1`", text)
