"""A real API server takes whatever is rendered, and its pods meet the restricted Pod Security Standard."""

import json

import pytest
import yaml

from charts.chart import Helm, Resource, pod
from charts.test_same_as_kustomize import SAME
from localworld.cluster import Cluster
from localworld.errors import WorldError

NOT_SERVED = ("cert-manager.io/", "monitoring.coreos.com/")
"""Kinds of programs that are not in this cluster."""

CHOSEN = {
    **{name: values for name, (values, _, _) in SAME.items()},
    "a proxy at port 80": {"proxy": {"https": "http://proxy.example.com"}},
    "names that YAML could read otherwise": {
        "serviceAccount": {"name": "123"},
        "dockerConfig": {"secret": "0x1f"},
        "ca": {"configMap": "true"},
        "image": {"repository": "1", "tag": "20"},
        "podLabels": {"number": "5"},
    },
}


@pytest.fixture
def restricted(control_plane: Cluster, namespace: str) -> str:
    """A namespace that admits restricted pods only."""
    levels = [f"pod-security.kubernetes.io/{mode}=restricted" for mode in ("enforce", "warn")]
    control_plane.kubectl("label", "namespace", namespace, *levels)
    return namespace


@pytest.mark.parametrize("chosen", CHOSEN)
def test_the_api_server_takes_it_without_a_warning(
    one_helm: Helm, control_plane: Cluster, restricted: str, chosen: str
) -> None:
    # Under a name of its own: what other tests have installed is not to be changed, not even in a dry run.
    values = {"fullnameOverride": restricted, **CHOSEN[chosen]}
    if "namespaces" in values:
        values["namespaces"] = [restricted, "default"]
    rendered = one_helm.template(values, namespace=restricted)
    served = [each for each in rendered if not each["apiVersion"].startswith(NOT_SERVED)]

    for each in served:
        if each["kind"] == "CustomResourceDefinition":
            each["metadata"]["annotations"] = {}  # a release's; others have the definitions already
    applied = control_plane.kubectl(
        *("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--warnings-as-errors"),
        *("--validate=strict", "-f=-"),
        stdin=yaml.safe_dump_all(served),
    )

    assert len(applied.splitlines()) == len(served)


@pytest.mark.parametrize("name", ["", "-admission"])
@pytest.mark.parametrize("chosen", ["admission", "everything"])
def test_a_pod_is_admitted_where_only_restricted_ones_are(
    one_helm: Helm, control_plane: Cluster, restricted: str, chosen: str, name: str
) -> None:
    rendered = one_helm.template({"serviceAccount": {"create": False}, **SAME[chosen][0]}, namespace=restricted)
    found: Resource = {**pod(rendered, f"transship{name}"), "serviceAccountName": "default"}
    probe = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}, "spec": found}
    create = ("create", "--dry-run=server", f"-n={restricted}", "-f=-")
    control_plane.kubectl(
        "wait", "--for=create", "serviceaccount/default", f"-n={restricted}", "--timeout=30s"
    )  # no pod is admitted before it

    assert "pod/probe created" in control_plane.kubectl(*create, stdin=json.dumps(probe))

    found["containers"][0]["securityContext"]["capabilities"] = {}
    with pytest.raises(WorldError, match="violates PodSecurity"):
        control_plane.kubectl(*create, stdin=json.dumps(probe))
