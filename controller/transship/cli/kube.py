"""The options by which a command finds its cluster, as kubectl has them.

The Kubernetes client takes half a second to load: it is loaded once a command connects.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from transship.cli.naming import require_name
from transship.cli.options import OptionGroup
from transship.cli.output import Output

if TYPE_CHECKING:
    from transship.cluster import Api, Cluster

WHO = "transship-command"


@dataclass(frozen=True, slots=True)
class Connection:
    """A cluster that a command talks to.

    Attributes:
        namespace: the one that was named, or the context's; empty for all of them.
    """

    api: "Api"
    cluster: "Cluster"
    namespace: str
    context: str


@dataclass(frozen=True, slots=True)
class Kube(OptionGroup):
    """Which cluster and namespace, and as whom."""

    context: Annotated[
        str | None,
        typer.Option("--context", metavar="NAME", help="context of the kubeconfig, instead of its current one"),
    ] = None
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", metavar="NAME", help="namespace, instead of the context's")
    ] = None
    kubeconfig: Annotated[
        Path | None,
        typer.Option("--kubeconfig", metavar="FILE", help="kubeconfig to use; KUBECONFIG, then ~/.kube/config"),
    ] = None
    as_user: Annotated[
        str | None, typer.Option("--as", metavar="USER", help="user to act as; the cluster has to allow it")
    ] = None
    as_group: Annotated[
        list[str] | None, typer.Option("--as-group", metavar="GROUP", help="group to act as; may be repeated")
    ] = None

    def __post_init__(self) -> None:
        """Refuse what would be something else in the path of a call.

        Raises:
            NeedsHuman: the namespace cannot be one.
        """
        if self.namespace:
            require_name(self.namespace, "a namespace")

    def connect(self, out: Output) -> Connection:
        """The cluster; nothing is asked of it yet.

        Raises:
            NeedsHuman: there is no kubeconfig, or it does not name what was asked for.
        """
        from transship import logs  # noqa: PLC0415 - see the module
        from transship.cluster import Cluster, connect_as  # noqa: PLC0415

        logs.quiet_libraries()
        person = connect_as(self.kubeconfig, self.context, self.as_user, self.as_group or ())
        namespace = "" if self._is_everywhere else self.namespace or person.namespace
        where = f"namespace {namespace}" if namespace else "all namespaces"
        out.detail(f"cluster {person.api.host}, context {person.context or 'of the pod'}, {where}")
        return Connection(person.api, Cluster(person.api, WHO), namespace, person.context)

    @property
    def _is_everywhere(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class KubeOrAll(Kube):
    """As `Kube`, for commands that may look into all namespaces."""

    all_namespaces: Annotated[bool, typer.Option("--all-namespaces", "-A", help="all namespaces")] = False

    @property
    def _is_everywhere(self) -> bool:
        return self.all_namespaces
