"""Where promotions stand: a table of them, one image by image, and following what changes."""

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from transship.cli.ages import age, now, size
from transship.cli.kube import Connection
from transship.cli.naming import is_of, names_of, no_request
from transship.cli.output import Cell, Colour, Format, Output, as_yaml, clean, paint, table
from transship.cluster.following import Change, Requests
from transship.promotion.request import PromotionRequest, RequestKey, parse_request
from transship.promotion.status import ImageStatus, Phase

COLUMNS = ("NAME", "READY", "PHASE", "IMAGES", "PROGRESS", "REASON", "TRIGGER", "APPLICATION", "AGE")
_IMAGE_COLUMNS = ("CONTAINER", "OUTCOME", "REASON", "BYTES", "RATE", "DIGEST", "IMAGE")
_COLOURS: Mapping[str, Colour] = {
    Phase.PROMOTED: Colour.GOOD,
    Phase.STALLED: Colour.BAD,
    Phase.PROMOTING: Colour.BUSY,
    Phase.RETRYING: Colour.BUSY,
}
_SHORT_DIGEST = 19  # sha256: and twelve characters


class View:
    """What of the cluster is looked at, and how it is shown."""

    def __init__(self, connection: Connection, name: str | None, owner: tuple[str, str] | None, out: Output) -> None:
        self._requests = Requests(connection.api)
        self._namespace, self._name, self._owner = connection.namespace, name, owner
        self._out = out

    def once(self) -> None:
        """Show it as it is now."""
        found = [each for each in self._requests.all(self._namespace) if self._is_meant(each)]
        if self._name is not None and not found:
            raise no_request(RequestKey(self._namespace, self._name))
        if not found and self._out.output is Format.TABLE:
            where = f"namespace {self._namespace}" if self._namespace else "the cluster"
            self._out.say(f"No PromotionRequests found in {where}.")
            return
        listed = {"apiVersion": "v1", "kind": "List", "items": found}
        document = found[0] if self._name is not None else listed
        self._out.show(document, lambda: self._text(found), names_of(found))

    def follow(self) -> None:
        """Show it, and every change of it."""
        changes = (
            each
            for each in self._requests.follow(self._namespace, lambda: math.inf)
            if each.is_gone or self._is_meant(each.resource)
        )
        if self._out.output is Format.TABLE and sys.stdout.isatty():
            self._follow_in_place(changes)
        elif self._out.output is Format.TABLE:
            self._follow_in_lines(changes)
        else:
            for each in changes:
                if not each.is_gone:
                    self._out.print(self._document(each.resource))

    def _follow_in_place(self, changes: Iterable[Change]) -> None:
        shown: dict[RequestKey, Mapping[str, Any]] = {}
        from rich.console import Console  # noqa: PLC0415 - what only a terminal needs
        from rich.live import Live  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        console = Console(no_color=self._out.no_color, highlight=False)
        with Live(Text("waiting for PromotionRequests"), console=console, auto_refresh=False) as live:
            for change in changes:
                shown.pop(change.key, None)
                if not change.is_gone:
                    shown[change.key] = change.resource
                order = sorted(shown, key=str)
                live.update(Text.from_ansi(self._text([shown[key] for key in order])), refresh=True)

    def _follow_in_lines(self, changes: Iterable[Change]) -> None:
        shown: dict[RequestKey, Mapping[str, Any]] = {}
        for change in changes:
            before = shown.pop(change.key, None)
            if change.is_gone:
                self._out.print(f"{change.key} is gone" if before is not None else "")
                continue
            header, *lines = self._table([*shown.values(), change.resource]).splitlines()  # as wide as those before
            self._out.print(lines[-1] if shown or before is not None else f"{header}\n{lines[-1]}")
            shown[change.key] = change.resource

    def _document(self, resource: Mapping[str, Any]) -> str:
        if self._out.output is Format.NAME:
            return names_of([resource])[0]
        if self._out.output is Format.YAML:
            return f"---\n{as_yaml(dict(resource))}"
        return json.dumps(resource)

    def _is_meant(self, resource: Mapping[str, Any]) -> bool:
        if self._name is not None:
            return bool(resource["metadata"]["name"] == self._name)
        return self._owner is None or is_of(parse_request(resource), self._owner)

    def _text(self, resources: Sequence[Mapping[str, Any]]) -> str:
        text = self._table(resources)
        if self._name is None or not resources:
            return text
        return f"{text}\n\n{_images(parse_request(resources[0]))}"

    def _table(self, resources: Iterable[Mapping[str, Any]]) -> str:
        rows = [row(parse_request(each)) for each in resources]
        if self._namespace:
            return table(COLUMNS, rows)
        spaces = [each["metadata"]["namespace"] for each in resources]
        return table(("NAMESPACE", *COLUMNS), [(space, *each) for space, each in zip(spaces, rows, strict=True)])


def row(request: PromotionRequest) -> tuple[str | Cell, ...]:
    """What the columns say of a request."""
    told = request.status
    ready = told.ready
    phase = told.phase if told.conditions else ""
    return (
        request.key.name,
        ready.status if ready else "",
        Cell(phase, _COLOURS.get(phase)),
        told.summary,
        told.progress,
        ready.reason if ready else "",
        request.owner.name if request.owner else "",
        told.application,
        age(request.created_at, now()),
    )


def _images(request: PromotionRequest) -> str:
    told = {each.name: each for each in request.status.images}
    rows = [_image(told.get(each.name, ImageStatus(each.name)), each.image) for each in request.containers]
    lines = [table(_IMAGE_COLUMNS, rows)]
    ready = request.status.ready
    if ready is not None and ready.status != "True":
        lines += ["", paint(clean(ready.message), _COLOURS.get(request.status.phase))]
    return "\n".join(lines)


def _image(image: ImageStatus, reference: str) -> tuple[str | Cell, ...]:
    outcome = str(image.outcome or "")
    colour = Colour.GOOD if image.is_proven else Colour.BAD if image.is_permanent_failure else Colour.BUSY
    there = (image.bytes_copied or 0) + (image.bytes_skipped or 0)
    return (
        image.name,
        Cell(outcome, colour),
        image.reason,
        f"{size(there)} of {size(image.bytes_total)}" if image.bytes_total is not None else "",
        f"{size(image.bytes_per_second)}/s" if image.bytes_per_second else "",
        image.digest[:_SHORT_DIGEST],
        reference,
    )
