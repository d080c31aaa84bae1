"""Fixtures that several test folders share: the pinned tools, the control plane, the registries.

A test that asks for one of them is marked by itself (`cluster`, `twin`, `needs_tools`), so that
`pytest -m "not needs_tools"` is always everything that runs on a machine where nothing has been built. What is missing
is built before the first test, outside of any test's time limit. Nothing here skips: a tool that cannot be built, or a
process that does not start, fails the tests that need it, with a sentence.
"""

import shutil
import signal
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import pytest

from commands import shells
from image.building import Built, build
from kind import programs as kind_programs
from localworld import argocd as argo_cd
from localworld import browser, cluster, network, registries, toolchain
from localworld import node as one_node
from localworld import prometheus as of_prometheus
from localworld import tools as pinned
from localworld.argocd import ArgoCD
from localworld.cluster import Cluster, LocalCluster
from localworld.errors import WorldError
from localworld.registries import Registries
from localworld.testrun import NEEDS_TOOLS
from localworld.world import World
from shipping import builders, offline
from shipping.builders import Builder

CLUSTER_FIXTURES = {"control_plane", "world", "namespace", "kubectl", "argocd", "node"}
TWIN_FIXTURES = {"twin", "world", "node"}
NETWORK_FIXTURES = {"argocd", "node"}
PROMETHEUS_FIXTURES = {"promtool", "prometheus"}
TOOLS_OF_FIXTURES = {
    "kustomize": ("kustomize",),
    "crane_binary": ("crane",),
    "helms": ("helm3", "helm4"),
    "prometheus_operator": ("prometheusoperator",),
    "distribution_binary": ("distribution",),
    "actionlint": ("actionlint",),
    "kind_binary": ("kind",),
    "argocd_manifests": ("argocd",),
    "delayline_binary": ("delayline",),
    "argocd": argo_cd.NEEDS,
    "argocd_binary": ("argocd",),
    "tools": tuple(pinned.TOOLS),
}
FAILURE = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{NEEDS_TOOLS}: asks for a fixture made of the pinned Go tools (set by itself)")
    # The default action of SIGTERM would leave processes and directories of the session's fixtures behind.
    signal.signal(signal.SIGTERM, _end_session)
    # A run in the background of a script begins with Ctrl-C ignored, and so would every program that a test starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _end_session(number: int, _frame: FrameType | None) -> None:
    pytest.exit("terminated", returncode=128 + number)


@pytest.hookimpl(tryfirst=True)  # before -m decides
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        asked = set(getattr(item, "fixturenames", ()))
        if asked & CLUSTER_FIXTURES:
            item.add_marker(pytest.mark.cluster)
        if asked & TWIN_FIXTURES:
            item.add_marker(pytest.mark.twin)
        if asked & (CLUSTER_FIXTURES | TWIN_FIXTURES | TOOLS_OF_FIXTURES.keys()):
            item.add_marker(getattr(pytest.mark, NEEDS_TOOLS))


@pytest.hookimpl(trylast=True)  # after everything that has to be fetched from outside
def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what the chosen tests need; a failure is kept, and fails the tests that need what could not be had.

    Each thing is had by itself, so that a browser that cannot be had takes no API server away.

    Where one of them needs Argo CD or a node the whole run moves into a network of its own, which nothing can be
    fetched into.
    """
    if session.config.option.collectonly:
        return
    asked = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    capture = session.config.pluginmanager.getplugin("capturemanager")
    failures: list[str] = []
    with capture.global_and_fixture_disabled():
        for prepare in (lambda: pinned.ensure(_tools_of(asked)), *_fetched(asked), lambda: _enter_network(asked)):
            try:
                prepare()
            except WorldError as error:
                failures.append(str(error))
    if failures:
        session.config.stash[FAILURE] = "\n".join(failures)


def _fetched(asked: set[str]) -> Iterator[Callable[[], object]]:
    """What has everything that is no pinned tool, and may not be there yet."""
    if "argocd_manifests" in asked:
        yield kind_programs.argocd_manifests
    if "argocd" in asked:
        yield argo_cd.prepare
        if "go" in asked:
            yield toolchain.find_go
    if asked & PROMETHEUS_FIXTURES:
        yield of_prometheus.prepare
    if "browser" in asked:
        yield browser.prepare
    if "fetched_shells" in asked:
        yield shells.prepare
    if "node" in asked and one_node.why_not() is None:
        yield one_node.prepare
    if "image_builder" in asked and builders.why_no_buildah() is None:
        yield offline.prepare


def _enter_network(asked: set[str]) -> None:
    if asked & NETWORK_FIXTURES and isinstance(cluster.choose(own_network=True), LocalCluster):
        network.enter_own()


def _tools_of(fixtures: set[str]) -> set[str]:
    names = {name for fixture, needed in TOOLS_OF_FIXTURES.items() if fixture in fixtures for name in needed}
    if fixtures & CLUSTER_FIXTURES:
        names.update(cluster.choose(own_network=bool(fixtures & NETWORK_FIXTURES)).needs)
    if fixtures & TWIN_FIXTURES:
        names.update(registries.NEEDS)
    return names


@pytest.fixture(scope="session")
def built(request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """Give the directory of a built tool by its name."""

    def directory(name: str) -> Path:
        if not pinned.TOOLS[name].is_built():
            pytest.fail(request.config.stash.get(FAILURE, f"{name} is not built: run `make tools`."), pytrace=False)
        return pinned.TOOLS[name].directory

    return directory


@pytest.fixture(scope="session")
def tools(built: Callable[[str], Path]) -> dict[str, Path]:
    """The directories of all pinned tools, by the names of hack/tools."""
    return {name: built(name) for name in pinned.TOOLS}


@pytest.fixture(scope="session")
def kustomize(built: Callable[[str], Path]) -> Path:
    """The kustomize binary."""
    return built("kustomize") / "kustomize"


@pytest.fixture(scope="session")
def helms(built: Callable[[str], Path]) -> dict[str, Path]:
    """The binaries of Helm 3 and Helm 4, by the names of hack/tools."""
    return {name: built(name) / name for name in ("helm3", "helm4")}


@pytest.fixture(scope="session")
def prometheus_operator(built: Callable[[str], Path]) -> Path:
    """Where the Prometheus operator's tool for rules is, and the definitions of what we make for it."""
    return built("prometheusoperator")


@pytest.fixture(scope="session")
def crane_binary(built: Callable[[str], Path]) -> Path:
    """The crane binary: a stock client of registries."""
    return built("crane") / "crane"


@pytest.fixture(scope="session")
def actionlint(built: Callable[[str], Path]) -> Path:
    """What reads workflows as GitHub does."""
    return built("actionlint") / "actionlint"


@pytest.fixture(scope="session")
def kind_binary(built: Callable[[str], Path]) -> Path:
    """What makes clusters in containers, which it cannot where there is no Docker."""
    return built("kind") / "kind"


@pytest.fixture(scope="session")
def argocd_manifests() -> Path:
    """The folder of Argo CD's manifests, of the pinned release."""
    return kind_programs.argocd_manifests()


@pytest.fixture(scope="session")
def argocd_binary(built: Callable[[str], Path]) -> Path:
    """Argo CD's one binary: what it is called by decides which part of it runs."""
    return built("argocd") / "argocd"


@pytest.fixture(scope="session")
def distribution_binary(built: Callable[[str], Path]) -> Path:
    """The registry binary of CNCF distribution v3."""
    return built("distribution") / "registry"


@pytest.fixture(scope="session")
def delayline_binary(built: Callable[[str], Path]) -> Path:
    """What the benchmark of copying runs against."""
    return built("delayline") / "delayline"


@pytest.fixture(scope="session")
def control_plane() -> Iterator[Cluster]:
    """The session's API server, shared by all tests: work in a `namespace`, name cluster-scoped things uniquely.

    `.admin` (JSON by path), `.kubectl(*arguments, stdin=...)`, `.kubeconfig`, `.issue_kubeconfig(name, user, groups)`.
    """
    with ExitStack() as stack:
        try:
            chosen = stack.enter_context(cluster.choose(own_network=network.is_own()))
        except WorldError as error:
            pytest.fail(f"No control plane: {error}", pytrace=False)
        yield chosen


@pytest.fixture(scope="session")
def argocd(request: pytest.FixtureRequest, control_plane: Cluster) -> Iterator[ArgoCD]:
    """A real Argo CD without its UI, beside the control plane: `.application(...)`, `.configure(...)`."""
    if not network.is_own():
        reason = (
            f"{control_plane.choice} cannot be reached from a network of its own: unset {cluster.KUBECONFIG_VARIABLE}"
        )
        pytest.fail(f"No Argo CD: {request.config.stash.get(FAILURE, reason)}", pytrace=False)
    with ExitStack() as stack:
        try:
            running = stack.enter_context(ArgoCD(control_plane))
        except WorldError as error:
            pytest.fail(f"No Argo CD: {error}", pytrace=False)
        yield running


@pytest.fixture(scope="session")
def kubectl(control_plane: Cluster) -> Path:
    """A kubectl of the control plane's release."""
    return control_plane.kubectl_binary


@pytest.fixture(scope="session")
def promtool(request: pytest.FixtureRequest) -> Callable[..., str]:
    """Run promtool; what it does not like fails the test with what it said."""

    def run(*arguments: str) -> str:
        try:
            result = of_prometheus.promtool(*arguments)
        except WorldError as error:
            pytest.fail(request.config.stash.get(FAILURE, str(error)), pytrace=False)
        assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
        return result.stdout

    return run


@pytest.fixture
def namespace(control_plane: Cluster) -> Iterator[str]:
    """A namespace of this test alone; its deletion is asked for at the end and not waited for."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    resource = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    control_plane.admin.create("/api/v1/namespaces", resource)
    yield name
    control_plane.admin.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture(scope="session")
def twin() -> Iterator[Registries]:
    """The ECR twin as a process, with the accounts of the local world: `.ecr(identity)`, `.crane(identity, ...)`."""
    with ExitStack() as stack:
        try:
            running = stack.enter_context(Registries())
        except WorldError as error:
            pytest.fail(f"No registries: {error}", pytrace=False)
        yield running


@pytest.fixture(scope="session")
def world(control_plane: Cluster, twin: Registries) -> World:
    """Both together: `.controller_env()`, `.push_sample()`, `.identities`."""
    return World(control_plane, twin)


@pytest.fixture(scope="session")
def digests(world: World) -> Mapping[str, str]:
    """The sample's tags at the source, with their digests."""
    return world.push_sample()


@pytest.fixture(scope="session")
def fetched_shells() -> None:
    """Zsh and fish, which `commands.shells` starts."""


@pytest.fixture(scope="session")
def image_builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    """Debian's buildah with a store of its own."""
    if reason := builders.why_no_buildah():
        pytest.skip(reason)
    store = tmp_path_factory.mktemp("images")
    yield builders.unpacked_buildah(store)
    shutil.rmtree(store)


@pytest.fixture(scope="session")
def image_bases(image_builder: Builder, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """What the Dockerfile has to be told to be built from local files."""
    return offline.arguments(image_builder, tmp_path_factory.mktemp("bases"))


@pytest.fixture(scope="session")
def image(image_builder: Builder, image_bases: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The operator's image."""
    return build(image_builder, image_bases, tmp_path_factory.mktemp("image") / "layout")
