"""`make demo`: the main job, end to end, told as it happens.

Account 111111111111 is development, 222222222222 is production. Images are pushed to development only;
overlays/production names them; Transship makes them arrive. An independent client (crane, as a user who may only read)
has the last word.
"""

import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from localworld import cluster, paths, tools
from localworld.accounts import DEVELOPMENT, PRODUCTION, identities, registry
from localworld.controller import POLICY, Controller, install
from localworld.errors import WorldError
from localworld.processes import tethered
from localworld.registries import Registries
from localworld.world import SAMPLE_REPOSITORY, World, push_sample

NAMESPACE = "shop"
PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.1
REQUESTS = "promotionrequests.transship.dev"
QUICK_TOOLS = ("kustomize", "crane", "distribution")
SOURCE_IMAGE = f"{registry(DEVELOPMENT)}/{SAMPLE_REPOSITORY}"
DESTINATION_IMAGE = f"{registry(PRODUCTION)}/{SAMPLE_REPOSITORY}"


def main() -> int:
    """Run the demo; 0 only if every step showed what it promises."""
    started = time.monotonic()
    try:
        with _tools_being_built() as built, Registries() as registries:
            digests = _show_before(registries)
            built()
            _show_cluster(registries, digests)
    except WorldError as error:
        print(f"\ndemo: FAILED: {error}")
        return 1
    print(f"\ndemo: all of it was seen to be so, in {time.monotonic() - started:.0f} s. Nothing is left running.")
    return 0


@contextmanager
def _tools_being_built() -> Iterator[Callable[[], None]]:
    """Build the quick tools now and Kubernetes meanwhile; gives what waits for the rest."""
    tools.ensure(QUICK_TOOLS)
    chosen = cluster.choose()
    failure: list[WorldError] = []

    def build() -> None:
        try:
            tools.ensure(chosen.needs)
        except WorldError as error:
            failure.append(error)

    thread = threading.Thread(target=build, name="tools", daemon=True)
    thread.start()

    def wait() -> None:
        thread.join()
        if failure:
            raise failure[0]

    yield wait


def _show_before(registries: Registries) -> dict[str, str]:
    """What needs no cluster: two accounts, an image that is in only one of them, and an overlay that names it."""
    _chapter("Two AWS accounts; the image is pushed to development only")
    ci, auditor = (identities()[name] for name in ("ci", "auditor"))
    digests = push_sample(registries)
    for tag, digest in digests.items():
        _say(f"development  {SOURCE_IMAGE}:{tag}  {digest}")
    _say(f"production   repositories: {registries.crane(auditor, 'catalog', auditor.registry) or 'none'}")
    _show_source_policy(registries, statements=0)
    _command(f"crane ls {ci.registry}/{SAMPLE_REPOSITORY}", registries.crane(ci, "ls", SOURCE_IMAGE))
    _chapter("overlays/production names v1.4.2 of the production registry")
    _command("kustomize build overlays/production | grep image:", _images(paths.REPOSITORY / "overlays" / "production"))
    return digests


def _show_cluster(registries: Registries, digests: dict[str, str]) -> None:
    with cluster.choose() as running, tempfile.TemporaryDirectory(prefix="transship-demo-") as directory:
        world = World(running, registries)
        _chapter(f"A real Kubernetes API server: {running.choice}")
        install(world)
        _say("applied manifests/crd and manifests/rbac; the operator runs with exactly these rights")
        overlays = Path(directory) / "overlays"
        shutil.copytree(paths.REPOSITORY / "overlays", overlays)
        with Controller(world):
            _tell(world, overlays / "production", digests)


def _tell(world: World, overlay: Path, digests: dict[str, str]) -> None:
    run = world.cluster.kubectl
    _chapter("An administrator allows shop/* to go from development to production")
    print(_indented(POLICY.read_text(encoding="utf-8").strip()))
    run("create", "namespace", NAMESPACE)
    run("apply", f"--filename={POLICY}")
    run("wait", "--for=condition=Ready", "--timeout=30s", "promotionpolicies.transship.dev/shop-to-production")
    _command(
        f"kubectl get {REQUESTS} --namespace {NAMESPACE}", run("get", REQUESTS, f"--namespace={NAMESPACE}") or "(none)"
    )

    _chapter("The overlay is applied: the Deployment names an image that production does not have")
    with _watching(world):
        _apply(world, overlay, kinds=("Deployment", "Service"))
        name = _wait_for_request(world, "v1.4.2")
        run("wait", "--for=condition=Ready", f"--timeout={PATIENCE_SECONDS:.0f}s", f"{REQUESTS}/{name}", _in_shop())
    _show_requests(world, "-o", "wide")
    _say(
        "production may read the repository now: the controller has put its own statement into its policy, and no other"
    )
    _show_source_policy(world.registries, statements=1)
    _command(f"kubectl describe {REQUESTS}/{name} | tail", _events_of(world, name))
    _verify(world, "v1.4.2", digests)
    _verify_absent(world, ("v1.4.1", "v1.5.0"))

    _chapter("A release engineer changes the tag in the overlay: the new version follows")
    _set_tag(overlay, "v1.5.0")
    _apply(world, overlay, kinds=("Deployment",))
    name = _wait_for_request(world, "v1.5.0")
    run("wait", "--for=condition=Ready", f"--timeout={PATIENCE_SECONDS:.0f}s", f"{REQUESTS}/{name}", _in_shop())
    _show_requests(world)
    _verify(world, "v1.5.0", digests)
    _command("kubectl get promotionpolicy shop-to-production -o jsonpath=…", _policy_conditions(world))

    _chapter("The PreSync hook of the overlay: a Job that never runs, from waiting to Complete")
    _set_tag(overlay, "v1.4.1")
    _apply(world, overlay, kinds=("Job",))
    _command("kubectl get job promote-images", run("get", "job", "promote-images", _in_shop()))
    run("wait", "--for=condition=Complete", f"--timeout={PATIENCE_SECONDS:.0f}s", "job/promote-images", _in_shop())
    _command("kubectl get job promote-images -o jsonpath=…", _job_conditions(world))
    _command(
        "kubectl get pods",
        run("get", "pods", _in_shop(), "--selector=job-name=promote-images") or "(none: no pod was ever made)",
    )
    _verify(world, "v1.4.1", digests)

    _chapter("A tag that does not exist: stalled, with the reason where people look")
    run("delete", "job", "promote-images", _in_shop())
    _set_tag(overlay, "v9.9.9")
    _apply(world, overlay, kinds=("Job",))
    run("wait", "--for=condition=Failed", f"--timeout={PATIENCE_SECONDS:.0f}s", "job/promote-images", _in_shop())
    _command("kubectl get job promote-images -o jsonpath=…", _job_conditions(world))
    _show_requests(world)
    _verify_absent(world, ("v9.9.9",))


def _show_source_policy(registries: Registries, *, statements: int) -> None:
    """What development says about who may read, as development's own pipeline sees it."""
    with registries.ecr(identities()["ci"]) as ecr:
        try:
            policy = json.loads(ecr.get_repository_policy(repositoryName=SAMPLE_REPOSITORY)["policyText"])
        except ecr.exceptions.RepositoryPolicyNotFoundException:
            policy = {}
    said = "\n".join(json.dumps(each) for each in policy.get("Statement", [])) or "(no policy: nobody else may read it)"
    _command(f"aws ecr get-repository-policy --repository-name {SAMPLE_REPOSITORY}   # in development", said)
    if len(policy.get("Statement", [])) != statements:
        raise WorldError(f"The policy of {SAMPLE_REPOSITORY} was to have {statements} statements.")


def _apply(world: World, overlay: Path, kinds: tuple[str, ...]) -> None:
    """Apply those kinds of an overlay, in the order Argo CD would: hooks before the rest."""
    rendered = yaml.safe_load_all(_render(overlay))
    chosen = {"apiVersion": "v1", "kind": "List", "items": [each for each in rendered if each["kind"] in kinds]}
    _say(f"kubectl apply: {', '.join(kinds)} of {overlay.parent.name}/{overlay.name}")
    world.cluster.kubectl("apply", "--filename=-", _in_shop(), stdin=json.dumps(chosen))


def _set_tag(overlay: Path, tag: str) -> None:
    _kustomize("edit", "set", "image", f"shop/checkout={DESTINATION_IMAGE}:{tag}", directory=overlay)
    _command(f"kustomize edit set image shop/checkout=…:{tag}", _images(overlay))


def _images(overlay: Path) -> str:
    return "\n".join(line.strip() for line in _render(overlay).splitlines() if "image:" in line)


def _render(overlay: Path) -> str:
    return _kustomize("build", str(overlay))


def _kustomize(*arguments: str, directory: Path | None = None) -> str:
    command = [str(tools.TOOLS["kustomize"].path("kustomize")), *arguments]
    return subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True).stdout


def _wait_for_request(world: World, tag: str) -> str:
    """The name of the request for a version, once there is one."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        listed = json.loads(world.cluster.kubectl("get", REQUESTS, _in_shop(), "--output=json"))["items"]
        for item in listed:
            if item["spec"]["containers"][0]["image"].endswith(f":{tag}"):
                return str(item["metadata"]["name"])
        time.sleep(POLL_SECONDS)
    raise WorldError(f"No PromotionRequest for {tag} was made within {PATIENCE_SECONDS:.0f} s.")


@contextmanager
def _watching(world: World) -> Iterator[None]:
    """Print requests as they change, by `kubectl get --watch`."""
    print(_indented(f"$ kubectl get {REQUESTS} --namespace {NAMESPACE} --watch"), flush=True)
    command = [
        str(world.cluster.kubectl_binary),
        f"--kubeconfig={world.cluster.kubeconfig}",
        *("get", REQUESTS, _in_shop(), "--watch"),
    ]
    environment = os.environ | world.cluster.kubectl_environment
    watch = subprocess.Popen(
        tethered(command), env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )

    def copy_lines() -> None:
        for line in watch.stdout or ():
            print(_indented(line.rstrip()), flush=True)

    thread = threading.Thread(target=copy_lines, daemon=True)
    thread.start()
    try:
        yield
        time.sleep(5 * POLL_SECONDS)  # what has just changed is on its way through the pipe
    finally:
        watch.terminate()
        watch.wait()
        thread.join()
        if watch.stdout:
            watch.stdout.close()


def _show_requests(world: World, *options: str) -> None:
    said = world.cluster.kubectl("get", REQUESTS, _in_shop(), *options)
    _command(f"kubectl get {REQUESTS} --namespace {NAMESPACE} {' '.join(options)}".rstrip(), said)


def _events_of(world: World, name: str) -> str:
    return world.cluster.kubectl("events", f"--for={REQUESTS}/{name}", _in_shop())


def _policy_conditions(world: World) -> str:
    path = "jsonpath={range .status.conditions[*]}{.type} {.status}: {.message}{'\\n'}{end}"
    return world.cluster.kubectl("get", "promotionpolicies.transship.dev/shop-to-production", f"--output={path}")


def _job_conditions(world: World) -> str:
    path = "jsonpath={range .status.conditions[*]}{.type}: {.reason}: {.message}{'\\n'}{end}"
    return world.cluster.kubectl("get", "job", "promote-images", _in_shop(), f"--output={path}")


def _verify(world: World, tag: str, digests: dict[str, str]) -> None:
    """The last word has a client that is not ours, as a user who can only read."""
    seen = world.registries.crane(world.identities["auditor"], "digest", f"{DESTINATION_IMAGE}:{tag}")
    _command(f"crane digest {DESTINATION_IMAGE}:{tag}", seen)
    if seen != digests[tag]:
        raise WorldError(f"{tag} is {seen} in production, but {digests[tag]} in development.")
    world.registries.crane(world.identities["auditor"], "validate", "--remote", f"{DESTINATION_IMAGE}:{tag}")
    _say("the same digest as in development, and crane read every layer of it")


def _verify_absent(world: World, absent: tuple[str, ...]) -> None:
    tags = world.registries.crane(world.identities["auditor"], "ls", DESTINATION_IMAGE).split()
    _command(f"crane ls {DESTINATION_IMAGE}", "\n".join(tags))
    unwanted = sorted(set(absent) & set(tags))
    if unwanted:
        raise WorldError(f"{', '.join(unwanted)} arrived in production though nobody named it.")
    _say(f"not there: {', '.join(absent)}")


def _in_shop() -> str:
    return f"--namespace={NAMESPACE}"


def _chapter(title: str) -> None:
    print(f"\n== {title}", flush=True)


def _say(text: str) -> None:
    print(_indented(text), flush=True)


def _command(command: str, output: str) -> None:
    print(_indented(f"$ {command}\n{output.rstrip()}"), flush=True)


def _indented(text: str) -> str:
    return "\n".join(f"   {line}" for line in text.splitlines())
