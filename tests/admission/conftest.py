"""One operator and one webhook for the whole folder, and a labelled namespace for each test."""

from collections.abc import Iterator, Mapping

import pytest

from admission import hook as hooks
from admission import pods
from admission.hook import Hook
from endtoend.scene import Scene
from endtoend.waiting import eventually
from localworld.controller import Controller
from localworld.controller import install as install_operator
from localworld.world import World

SETTINGS = {"TRANSSHIP_ADMISSION": "true", "TRANSSHIP_STALLED_RECHECK": "3"}


@pytest.fixture(scope="package")
def installed(world: World) -> Iterator[World]:
    """The world with the definitions, and the rights of operator and webhook."""
    install_operator(world)
    hooks.install(world.cluster)
    yield world
    hooks.uninstall(world.cluster)


@pytest.fixture(scope="package")
def operator(installed: World) -> Iterator[Controller]:
    """The operator; a test may kill it, if it starts it again."""
    with Controller(installed, SETTINGS) as controller:
        yield controller


@pytest.fixture(scope="package")
def hook(installed: World) -> Iterator[Hook]:
    """The webhook, and the API server asks it; a test may kill it, if it starts it again."""
    running = Hook(installed)
    hooks.configure(installed.cluster, hooks.configuration(running.port))
    try:
        running.start()
        yield running
    finally:
        hooks.forget(installed.cluster)
        running.stop()


@pytest.fixture
def scene(installed: World, digests: Mapping[str, str]) -> Iterator[Scene]:
    """A namespace of this test whose pods may wait, once pods can be made in it."""
    scene = Scene(installed, digests)
    place = f"/api/v1/namespaces/{scene.namespace}"
    scene.admin.patch(place, {"metadata": {"labels": {"transship.dev/admission": "enabled"}}})
    eventually(
        lambda: any(
            each["metadata"]["name"] == "default" for each in scene.admin.get(f"{place}/serviceaccounts")["items"]
        ),
        "the namespace has its ServiceAccount",
    )
    yield scene
    scene.close()


@pytest.fixture
def asked(scene: Scene, hook: Hook) -> Hook:
    """The webhook, once the API server asks it about this test's namespace and trusts it."""

    def look() -> bool:
        before = sum(hook.reviewed(each) for each in ("not covered", "not ours"))
        pods.create(scene, pods.resource("elsewhere.example/probe:v1", name="probe"), "?dryRun=All")
        return sum(hook.reviewed(each) for each in ("not covered", "not ours")) > before

    eventually(look, "the API server asks the webhook")
    return hook


@pytest.fixture
def covered(scene: Scene, asked: Hook) -> Scene:
    """The scene with a policy that the webhook knows."""
    scene.policy(watch={"workloads": False})
    until_known(scene)
    return scene


def until_known(scene: Scene) -> None:
    """Wait until the webhook goes by the test's policy."""
    probe = pods.resource(scene.image("v0.0.0"), name="probe")
    eventually(lambda: pods.is_held(pods.create(scene, probe, "?dryRun=All")), "the webhook knows the policy")
