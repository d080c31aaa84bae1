"""A plan for programs: the document that `-o json` and `-o yaml` print."""

from collections.abc import Mapping, Sequence
from typing import Any

from transship.cli.looking import Grant, Standing
from transship.cli.planning import Calls, Planned, PlannedImage, Totals


def document(plans: Sequence[Planned]) -> dict[str, Any]:
    """All plans of a command."""
    return {
        "ok": not any(each.is_wrong for each in plans),
        "toDo": any(each.is_to_do for each in plans),
        "plans": [_plan(each) for each in plans],
    }


def _plan(planned: Planned) -> dict[str, Any]:
    return {
        "name": planned.name,
        "policies": planned.policies,
        "images": [_image(each) for each in planned.images],
        "totals": _totals(planned.totals),
    }


def _image(image: PlannedImage) -> dict[str, Any]:
    found: dict[str, Any] = {
        "image": image.wanted.image,
        "namespace": image.wanted.namespace,
        "namedBy": [
            {"kind": each.resource.kind, "name": each.resource.name, "container": each.container, "file": each.file}
            for each in image.wanted.found
        ],
        "policy": image.policy,
        "source": str(image.source or ""),
        "destination": str(image.destination or ""),
        "digest": str(image.digest or ""),
        "verdict": str(image.verdict),
        "reason": str(image.reason),
        "message": image.message,
        "replaces": str(image.replaces or ""),
    }
    found = {name: value for name, value in found.items() if value not in ("", None)}
    amounts = image.amounts
    if amounts is not None:
        found["missing"] = {
            "bytes": amounts.bytes_missing,
            "blobs": len(amounts.blobs),
            "manifests": amounts.manifests_missing,
            "referrers": len(amounts.attaching.steps),
        }
        found["referrers"] = {
            "present": amounts.attaching.present,
            "problems": [str(each) for each in amounts.attaching.problems],
        }
        found["requests"] = dict(amounts.requests)
        found["awsCalls"] = _calls(image.calls)
    if image.standing is not None:
        found["createsRepository"] = image.standing is Standing.TO_CREATE
    return found


def _calls(calls: Calls) -> Mapping[str, Mapping[str, int]]:
    return {registry: dict(sorted(actions.items())) for registry, actions in sorted(calls.items())}


def _totals(totals: Totals) -> dict[str, Any]:
    return {
        "verdicts": {str(verdict): count for verdict, count in totals.verdicts.items()},
        "missing": {
            "bytes": totals.bytes,
            "blobs": totals.blobs,
            "manifests": totals.manifests,
            "referrers": totals.referrers,
        },
        "requests": dict(totals.requests),
        "awsCalls": _calls(totals.calls),
        "createsRepositories": [str(each) for each in totals.repositories],
        "addsStatements": [_grant(each) for each in totals.grants if each.statement is not None],
        "problems": [_grant(each) for each in totals.grants if each.statement is None],
    }


def _grant(grant: Grant) -> dict[str, Any]:
    about = {"statement": dict(grant.statement)} if grant.statement is not None else {"message": grant.problem}
    return {"repository": str(grant.repository), **about}
