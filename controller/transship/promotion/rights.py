"""What operator and webhook may do in a cluster: the table by which they look, at their start, whether they may.

`manifests/` gives exactly these rights, which tests/rights compares. A right belongs to a namespace, or to the cluster
as a whole; namespaces that are named (`TRANSSHIP_NAMESPACES`) have one each, and the rest of the cluster is left alone.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

EVERYWHERE = ""
"""The place of what is in no namespace, or wanted in all of them."""


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One thing that may be done.

    Attributes:
        verb: as RBAC has it.
        group: of the API; empty for the core.
        resource: its plural, and after a slash the subresource.
        name: of the one object that may be touched; empty for all.
        given_by: the folder of manifests that gives it.
    """

    verb: str
    group: str
    resource: str
    name: str = ""
    given_by: str = "manifests/rbac"

    @property
    def what(self) -> str:
        """The resource as kubectl writes it: `jobs.batch/status`, `leases.coordination.k8s.io transship`."""
        plural, slash, subresource = self.resource.partition("/")
        kind = f"{plural}.{self.group}" if self.group else plural
        return f"{kind}{slash}{subresource}{self.name and f' {self.name}'}"


Wanted = tuple[str, Right]
"""Where, by the name of a namespace or `EVERYWHERE`, and what."""


def _rights(given_by: str, *rules: tuple[str, str, str], name: str = "") -> tuple[Right, ...]:
    """Rights by rules of verbs, a group and resources, words of which are separated by spaces."""
    return tuple(
        Right(verb, group, resource, name, given_by)
        for verbs, group, resources in rules
        for resource in resources.split()
        for verb in verbs.split()
    )


_READ = "get list watch"
_OURS = "transship.dev"
NAMESPACED = _rights(
    "manifests/rbac",
    ("get", "", "namespaces"),  # of a namespace that is named, this is a right in it
    (_READ, "apps", "daemonsets deployments statefulsets"),
    (_READ, "batch", "cronjobs jobs"),
    ("patch", "batch", "jobs/status"),
    (f"create delete {_READ}", _OURS, "promotionrequests"),
    ("patch", _OURS, "promotionrequests/status"),
    ("create patch", "events.k8s.io", "events"),
)
NAMESPACED_GATE = _rights("manifests/gate/component", (f"create delete update {_READ}", _OURS, "promotedimages"))
NAMESPACED_ADMISSION = _rights(
    "manifests/admission/component", (f"patch {_READ}", "", "pods"), ("get", "apps", "replicasets")
)
POLICIES = _rights(
    "manifests/rbac", ("list watch", _OURS, "promotionpolicies"), ("patch", _OURS, "promotionpolicies/status")
)
_ALL_NAMESPACES = _rights("manifests/rbac", ("list watch", "", "namespaces"))


def in_namespace(*, gate: bool, admission: bool) -> tuple[Right, ...]:
    """What the operator needs in a namespace, with the parts that are installed."""
    return (*NAMESPACED, *(NAMESPACED_GATE if gate else ()), *(NAMESPACED_ADMISSION if admission else ()))


def of_all_namespaces(lease: str) -> tuple[Right, ...]:
    """What the operator needs beside `in_namespace` to watch all namespaces; its own Lease is watched across them."""
    return (*_ALL_NAMESPACES, *_rights("manifests/rbac", ("list watch", "coordination.k8s.io", "leases"), name=lease))


def of_leader(lease: str) -> tuple[Right, ...]:
    """What the operator needs in its own namespace."""
    leases = ("coordination.k8s.io", "leases")
    one = _rights("manifests/rbac", ("get list update watch", *leases), name=lease)
    return (*_rights("manifests/rbac", ("create", *leases)), *one)


def of_operator(
    namespace: str, lease: str, namespaces: Sequence[str], *, gate: bool, admission: bool
) -> Iterator[Wanted]:
    """What the operator cannot work without. Namespaces that are named are looked at one by one, and later again.

    Args:
        namespace: its own.
        lease: name of its Lease.
        namespaces: those that are named; none for all.
        gate: whether the hard gate is installed.
        admission: whether the webhook is installed.
    """
    yield from ((EVERYWHERE, each) for each in POLICIES)
    yield from ((namespace, each) for each in of_leader(lease))
    if not namespaces:
        yield from ((EVERYWHERE, each) for each in of_all_namespaces(lease))
        yield from ((EVERYWHERE, each) for each in in_namespace(gate=gate, admission=admission))


def of_webhook(namespaces: Sequence[str]) -> Iterator[Wanted]:
    """What the webhook decides by; see `of_operator`."""
    given_by = "manifests/admission/component"
    yield from ((EVERYWHERE, each) for each in _rights(given_by, ("list", _OURS, "promotionpolicies")))
    if not namespaces:
        yield from ((EVERYWHERE, each) for each in _rights(given_by, ("list", "", "namespaces")))


def of_webhook_in_namespace() -> tuple[Right, ...]:
    """What the webhook needs in a namespace that is named."""
    return _rights("manifests/namespaced/tenant/admission", ("get", "", "namespaces"))


def of_certificate(namespace: str, secret: str, configuration: str) -> Iterator[Wanted]:
    """What a webhook needs that makes its own certificate.

    Args:
        namespace: its own.
        secret: name of the Secret in it.
        configuration: name of the MutatingWebhookConfiguration.
    """
    given_by = "manifests/admission/self-managed"
    rule = ("get patch", "admissionregistration.k8s.io", "mutatingwebhookconfigurations")
    yield from ((namespace, each) for each in _rights(given_by, ("get update", "", "secrets"), name=secret))
    yield from ((EVERYWHERE, each) for each in _rights(given_by, rule, name=configuration))


def describe(missing: Iterable[Wanted]) -> str:
    """What may not be done where, in words: `list, watch jobs.batch in namespace shop`."""
    verbs: dict[tuple[str, str], list[str]] = {}
    for place, right in missing:
        verbs.setdefault((place, right.what), []).append(right.verb)
    places: dict[str, list[str]] = {}
    for (place, what), each in verbs.items():
        places.setdefault(place, []).append(f"{', '.join(each)} {what}")
    return "; ".join(
        f"{'; '.join(each)} {f'in namespace {place}' if place else 'in the whole cluster'}"
        for place, each in places.items()
    )


def advice(missing: Iterable[Wanted]) -> str:
    """What to do about it, in words."""
    folders = dict.fromkeys(right.given_by for _, right in missing)
    return f"apply {' and '.join(folders)} of this version"
