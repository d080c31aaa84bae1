"""What pages say to install can be taken away by what they say, and nothing is left that they do not name."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from charts.shell import Shell
from localworld import cluster, network
from localworld.cluster import Cluster
from localworld.paths import REPOSITORY

CERT_MANAGER = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: {plural}.cert-manager.io}}
spec:
  group: cert-manager.io
  scope: Namespaced
  names: {{plural: {plural}, singular: {singular}, kind: {kind}}}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}
"""
"""In place of cert-manager's own definitions: all that is taken and deleted here are names."""
ISSUED = ("transship-admission-tls", "transship-admission-authority")
NOT_OURS = re.compile(r"^(Event|Lease|EndpointSlice|Endpoints|APIService|ReplicaSet|Pod) ")
"""Kinds of which the API server and its controllers make some by themselves, and take them away."""


@pytest.fixture(scope="module")
def own_cluster(control_plane: Cluster, prometheus_operator: Path) -> Iterator[Cluster]:
    """A control plane with others' definitions, and in which nothing of ours is installed."""
    with cluster.choose(own_network=network.is_own()) as chosen:
        for path in prometheus_operator.glob("*.yaml"):
            chosen.kubectl("apply", "--server-side", f"--filename={path}")
        for kind in ("Issuer", "Certificate"):
            named = CERT_MANAGER.format(kind=kind, singular=kind.lower(), plural=f"{kind.lower()}s")
            chosen.kubectl("apply", "--server-side", "--filename=-", stdin=named)
        chosen.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
        chosen.kubectl("create", "namespace", "shop")
        yield chosen


@pytest.fixture
def shell(request: pytest.FixtureRequest, own_cluster: Cluster, tmp_path: Path) -> Shell:
    """A shell for that control plane, in which the plain installation is."""
    page = (REPOSITORY / f"docs/how-to/{request.param}.md").read_text()
    shell = Shell(own_cluster, page, tmp_path, tmp_path)
    shell.run("kubectl apply --server-side -k manifests/default")
    return shell


def everything(shell: Shell) -> set[str]:
    """All that the API server has, but for what it and its controllers make by themselves."""
    kinds = ",".join(shell.run("kubectl api-resources --verbs=list,delete --output=name").split())
    columns = "K:.kind,NS:.metadata.namespace,N:.metadata.name"
    found = shell.run(f"kubectl get {kinds} --all-namespaces --no-headers --output=custom-columns={columns}")
    lines = {" ".join(line.split()) for line in found.splitlines()}
    return {line for line in lines if not NOT_OURS.match(line)}


def operator(shell: Shell) -> str:
    return shell.run("kubectl -n transship-system get deployment transship --output=jsonpath={.spec.template}")


@pytest.mark.parametrize("shell", ["admission"], indirect=True)
def test_admission_is_taken_away_again(shell: Shell) -> None:
    before, plain = everything(shell), operator(shell)

    shell.type("Install")
    assert "MutatingWebhookConfiguration <none> transship-admission" in everything(shell)
    assert operator(shell) != plain

    shell.type("Uninstall")
    assert everything(shell) == before
    assert operator(shell) == plain
    assert "transship" not in shell.run("kubectl get namespace shop --output=jsonpath={.metadata.labels}")


@pytest.mark.parametrize("shell", ["admission"], indirect=True)
def test_admission_with_cert_manager_is_taken_away_again(shell: Shell) -> None:
    before = everything(shell)

    shell.type("Certificates")
    for name in ISSUED:  # as cert-manager would
        shell.run(f"kubectl -n transship-system create secret generic {name}")
    assert {"Certificate transship-system transship-admission", "Issuer transship-system transship-admission"} <= (
        everything(shell)
    )

    shell.type("Uninstall")
    assert everything(shell) == before


@pytest.mark.parametrize("shell", ["hard-gate"], indirect=True)
def test_the_hard_gate_is_taken_away_again(shell: Shell) -> None:
    before, plain = everything(shell), operator(shell)

    shell.type("Install")
    shell.run("kubectl label namespace shop transship.dev/gate=warn")
    assert "ValidatingAdmissionPolicy <none> transship-gate" in everything(shell)

    shell.type("Uninstall")
    assert everything(shell) == before
    assert operator(shell) == plain
    assert "transship" not in shell.run("kubectl get namespace shop --output=jsonpath={.metadata.labels}")


@pytest.mark.parametrize("shell", ["monitoring"], indirect=True)
def test_monitoring_is_taken_away_again(shell: Shell) -> None:
    before = everything(shell)
    parts = "\n".join(f"- ../manifests/monitoring{each}" for each in ("", "/pod-monitor", "/alerts", "/dashboard"))
    overlay = shell.folder / "overlay"
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text(f"resources: [../manifests/default]\ncomponents:\n{parts}\n")

    shell.run("kubectl apply --server-side -k overlay")
    assert "PrometheusRule transship-system transship" in everything(shell)

    shell.type("Uninstall")
    assert everything(shell) == before
