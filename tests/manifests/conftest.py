"""What the API server has to have before these tests can ask it."""

import uuid
from functools import partial

import pytest

from localworld.cluster import Cluster
from localworld.errors import WorldError
from manifests import asking, installation


@pytest.fixture(scope="session")
def definitions(control_plane: Cluster) -> Cluster:
    """The API server with the custom resource definitions, once it serves and explains them."""
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", f"-k={installation.MANIFESTS / 'crd'}")
    names = [f"crd/{plural}.transship.dev" for plural in installation.KINDS]
    control_plane.kubectl("wait", "--for=condition=Established", *names, "--timeout=30s")
    for plural in installation.KINDS:
        asking.wait_until(partial(_is_explained, control_plane, plural), f"kubectl explain {plural}.transship.dev")
    return control_plane


def _is_explained(control_plane: Cluster, plural: str) -> bool:
    try:
        control_plane.kubectl("explain", f"{plural}.transship.dev")
    except WorldError:
        return False
    return True


@pytest.fixture(scope="session")
def rights(definitions: Cluster) -> Cluster:
    """The API server with the definitions, the operator's namespace, and who may do what."""
    namespace = installation.MANIFESTS / "default" / "namespace.yaml"
    definitions.kubectl("apply", "--server-side", "--force-conflicts", f"-f={namespace}")
    definitions.kubectl("apply", "--server-side", "--force-conflicts", f"-k={installation.MANIFESTS / 'rbac'}")
    operator, own = {"user": asking.OPERATOR}, "transship-system"
    for right in (("watch", "", "namespaces"), ("create", "coordination.k8s.io", "leases")):
        asking.wait_until(partial(asking.may, definitions, operator, own, right), f"the operator may {' '.join(right)}")
    return definitions


@pytest.fixture
def unique() -> str:
    """A name for a cluster-scoped object of this test alone."""
    return f"test-{uuid.uuid4().hex[:8]}"
