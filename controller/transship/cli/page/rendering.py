"""From an overview to HTML: one file that needs nothing else.

All that comes from a cluster is text of strangers. The template escapes it; characters that would turn the text around
or hide a part of it are spelled out; nothing of it becomes a link; and the page's own policy lets a browser run only
the script and style that are in it, and fetch nothing.
"""

import base64
import hashlib
import shlex
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib import resources
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from transship import __version__
from transship.cli.ages import age, size, span
from transship.cli.output import clean
from transship.cli.report_sources import Report
from transship.oci.reference import Reference
from transship.promotion.overview import Row, Standing
from transship.promotion.status import format_time
from transship.promotion.trouble import LIMIT as TROUBLES
from transship.promotion.trouble import Trouble, troubles

_COLUMNS = (
    ("state", "State"),
    ("image", "Image"),
    ("digest", "Digest"),
    ("application", "Application"),
    ("by", "Asked by"),
    ("when", "When (UTC)"),
    ("bytes", "Bytes"),
    ("policy", "Policy"),
)
_NOTED = "to know"  # of a request that is ready, and has something to tell all the same
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path d="M2 5h8V2l5 5-5 5V9H2z" fill="#3b7dc4"/></svg>'
)


def render(report: Report) -> str:
    """Make the page."""
    overview = report.overview
    style, script = _own("report.css"), _own("report.js")
    found = troubles(overview)
    told = {(each.namespace, each.request) for each in found[:TROUBLES]}
    rows = [_row(each, is_told=(each.namespace, each.request) in told) for each in overview.rows]
    page: str = _template(
        report.made
    ).render(
        policy=_policy(style, script),
        style=Markup(style),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        icon=f"data:image/svg+xml,{quote(_ICON)}",
        heading=_heading(report, len(found)),
        tiles=[{"style": _style(each), "word": each.value, "count": overview.counts[each]} for each in Standing],
        choices=list(_choices(overview.rows)),
        columns=_COLUMNS,
        troubles=[_trouble(each) for each in found[:TROUBLES]],
        current=[each for each in rows if each["is_current"]],
        earlier=[each for each in rows if not each["is_current"]],
        policies=report.policies,
    )
    return page


def _template(made: datetime) -> Any:
    environment = Environment(autoescape=True, undefined=StrictUndefined, finalize=_shown, trim_blocks=True)
    environment.filters |= {
        "age": lambda moment: age(moment, made),
        "clock": lambda moment: moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "moment": format_time,
    }
    return environment.from_string(_own("report.html"))


def _shown(value: object) -> object:
    return clean(value) if type(value) is str else value


def _own(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    rules = {
        "default-src": "'none'",
        "style-src": _hash(style),
        "script-src": _hash(script),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _heading(report: Report, found: int) -> Mapping[str, Any]:
    overview = report.overview
    images = sum(overview.counts.values())
    earlier = len(overview.rows) + overview.left_out - images
    requests = f"{overview.requests} request{'' if overview.requests == 1 else 's'}"
    warnings = list(report.warnings)
    if overview.left_out:
        warnings.append(
            f"{overview.left_out} images are not on this page, which would be too long for a browser: those that count "
            "now come first, then the newest. Name a namespace to see all of one."
        )
    if found > TROUBLES:
        warnings.append(f"{found - TROUBLES} more requests need attention than are told one by one.")
    if overview.unreadable:
        warnings.append(f"Left out, as no cluster would hold them so: {overview.unreadable} PromotionRequests.")
    nothing = "There are no PromotionRequests: nothing was asked for, or no policy covers what runs here."
    return {
        "title": report.title,
        "facts": report.facts,
        "made": report.made,
        "version": __version__,
        "warnings": warnings,
        "amount": f"Images of the newest requests; {earlier} of earlier ones are not counted. {requests} in all.",
        "calm": "Nothing does: every image that is asked for now is there, or on its way."
        if images
        else "Nothing does: nothing was asked for.",
        "nothing": nothing,
    }


def _choices(rows: Iterable[Row]) -> Iterable[Mapping[str, Any]]:
    seen = list(rows)
    for name, label in (("namespace", "Namespace"), ("application", "Application"), ("reason", "Reason")):
        options = sorted({value for each in seen if (value := getattr(each, name))})
        yield {"name": name, "label": label, "options": options}


def _trouble(trouble: Trouble) -> Mapping[str, Any]:
    command = ["kubectl", "transship", "explain", trouble.request, "--namespace", trouble.namespace]
    return {
        "style": _style(trouble.standing),
        "word": _NOTED if trouble.standing is Standing.READY else trouble.standing.value,
        "namespace": trouble.namespace,
        "application": trouble.application,
        "whose": trouble.by if "/" in trouble.by else trouble.request,
        "since": trouble.since,
        "reasons": " ".join(each.reason for each in trouble.points),
        "command": shlex.join(command),
        "points": [
            {
                "reason": each.reason,
                "meaning": each.meaning,
                "remedy": each.remedy,
                "said": [(_name(image)[1], text) for image, text in each.said if image or text],
            }
            for each in trouble.points
        ],
    }


def _row(row: Row, *, is_told: bool) -> Mapping[str, Any]:
    registry, image = _name(row.destination)
    is_in_trouble = row.standing in {Standing.FAILED, Standing.WAITING}
    return {
        "is_current": row.is_current,
        "style": _style(row.standing),
        "word": row.standing.value,
        "rank": list(Standing).index(row.standing),
        "how": row.reason if is_in_trouble else row.outcome or row.phase,
        "reason": row.reason,
        "image": image,
        "destination": registry or "no registry that can be read",
        "source": _source(row.source, image),
        "message": row.message if is_in_trouble and not (is_told and row.is_current) else "",
        "digest": row.digest,
        "previous": row.previous_digest,
        "application": row.application,
        "revision": row.revision,
        "by": row.by,
        "namespace": row.namespace,
        "request": row.request,
        "created_at": row.created_at,
        "at": row.at,
        "took": span(int(row.seconds)) if row.seconds is not None else "",
        "bytes": row.bytes_copied or 0,
        "moved": "" if row.bytes_copied is None and row.bytes_total is None else size(row.bytes_copied or 0),
        "total": size(row.bytes_total) if row.bytes_total else "",
        "policy": row.policy,
    }


def _source(text: str, image: str) -> str:
    """The registry alone where the rest is called the same there."""
    registry, name = _name(text)
    return registry if name == image else text


def _name(text: str) -> tuple[str, str]:
    """Registry, and what comes after it; no registry for what is no reference, and for what names none."""
    try:
        registry = Reference.parse(text).repository.registry.host
    except ValueError:
        return "", text
    host, _, rest = text.partition("/")
    return (registry, rest) if host.lower() == registry else (registry, text)


def _style(standing: Standing) -> str:
    return standing.value.replace(" ", "-")
