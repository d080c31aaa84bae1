"""`make demo`: the main job, end to end, told as it happens.

Account 111111111111 is development, 222222222222 is production. Images are pushed to development only;
overlays/production names them; Argo CD syncs it, and Transship makes the sync wait until they have arrived. An
independent client (crane, as a user who may only read) has the last word, and where a node can run, so have pods.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from localworld import argocd, cluster, debian, network, node, paths, pipeline, tools
from localworld.accounts import DEVELOPMENT, PRODUCTION, identities, registry
from localworld.application import Application, Operation
from localworld.argocd import ArgoCD
from localworld.controller import POLICY, Controller, install
from localworld.errors import WorldError
from localworld.gitrepository import GitRepository
from localworld.ledger import Ledger
from localworld.node import Node
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
OVERLAY = "overlays/production"


def main() -> int:
    """Run the demo; 0 only if every step showed what it promises."""
    started = time.monotonic()
    try:
        why_no_node = node.why_not()
        with _tools_being_built(with_node=why_no_node is None) as built, Registries() as registries:
            program = None if why_no_node else node.program()
            digests = _show_before(registries, program)
            built()
            _show_cluster(registries, digests, why_no_node)
            _chapter("Second act, without a cluster: a release engineer at a terminal, by overlays/transship.yaml")
            pipeline.show(registries, _command)
            _say("crane, as a user who may only read, sees the digest that development has")
    except WorldError as error:
        print(f"\ndemo: FAILED: {error}")
        return 1
    print(f"\ndemo: all of it was seen to be so, in {time.monotonic() - started:.0f} s. Nothing is left running.")
    return 0


@contextmanager
def _tools_being_built(*, with_node: bool) -> Iterator[Callable[[], None]]:
    """Have what is quick built, start to build the rest, and move into a network of our own; gives what waits for it.

    The rest is built by a process of its own, which stays outside, as it fetches modules.
    """
    needed = [*cluster.choose(own_network=True).needs, *argocd.NEEDS, *(node.NEEDS if with_node else ())]
    tools.ensure([*QUICK_TOOLS, *(["checkout"] if with_node else [])])
    for packages in ("redis", *(["containers"] if with_node else [])):
        debian.ensure(packages)
    missing = [tool.name for tool in tools.missing(needed)]
    command = tethered([sys.executable, "-m", "localworld", "tools", *missing])
    build = subprocess.Popen(command, cwd=paths.REPOSITORY) if missing else None
    network.enter_own()

    def wait() -> None:
        if build is not None and build.wait() != 0:
            raise WorldError("The tools could not be built; what went wrong is said above.")

    try:
        yield wait
    finally:
        if build is not None:
            build.kill()
            build.wait()


def _show_before(registries: Registries, program: Path | None) -> dict[str, str]:
    """What needs no cluster: two accounts, an image that is in only one of them, and an overlay that names it."""
    _chapter("Two AWS accounts; the image is pushed to development only")
    ci, auditor = (identities()[name] for name in ("ci", "auditor"))
    digests = push_sample(registries, program=program)
    for tag, digest in digests.items():
        _say(f"development  {SOURCE_IMAGE}:{tag}  {digest}")
    _say(f"production   repositories: {registries.crane(auditor, 'catalog', auditor.registry) or 'none'}")
    _show_source_policy(registries, statements=0)
    _command(f"crane ls {ci.registry}/{SAMPLE_REPOSITORY}", registries.crane(ci, "ls", SOURCE_IMAGE))
    _chapter("overlays/production names v1.4.2 of the production registry")
    _command("kustomize build overlays/production | grep image:", _images(paths.REPOSITORY / "overlays" / "production"))
    return digests


def _show_cluster(registries: Registries, digests: dict[str, str], why_no_node: str | None) -> None:
    with ExitStack() as stack:
        running = stack.enter_context(cluster.choose(own_network=True))
        world = World(running, registries)
        _chapter(f"A real Kubernetes API server, and a real Argo CD: {running.choice}")
        install(world)
        _say("applied manifests/crd and manifests/rbac; the operator runs with exactly these rights")
        stack.enter_context(Controller(world))
        continuous = stack.enter_context(ArgoCD(running))
        repository = stack.enter_context(GitRepository())
        _say("argocd-cm is as Argo CD ships it: a hook Job needs no configuration there")
        _allow(world)
        application = _show_first_sync(world, continuous, repository, digests)
        _show_next_version(world, application, repository, digests)
        _show_failure(world, application, repository)
        _show_rollback(world, application, repository)
        _show_around_the_hook(world, digests)
        if why_no_node:
            _chapter("A node would pull the image now; this act is left out")
            _say(why_no_node)
        else:
            _show_node(world, digests["v1.4.1"])


def _allow(world: World) -> None:
    _chapter("An administrator allows shop/* to go from development to production")
    run = world.cluster.kubectl
    print(_indented(POLICY.read_text(encoding="utf-8").strip()))
    run("create", "namespace", NAMESPACE)
    run("apply", f"--filename={POLICY}")
    run("wait", "--for=condition=Ready", "--timeout=30s", "promotionpolicies.transship.dev/shop-to-production")


def _show_first_sync(
    world: World, continuous: ArgoCD, repository: GitRepository, digests: dict[str, str]
) -> Application:
    _chapter("Argo CD is given the overlay, which names an image that production does not have")
    revision = repository.copy(paths.REPOSITORY / "overlays", "overlays", "Run checkout v1.4.2")
    with _watching(world):
        application = continuous.application(
            "shop", repository.url, OVERLAY, namespace=NAMESPACE, automated=True, retry={"limit": 0}
        )
        operation = application.until_ended(revision)
    _expect(operation, "Succeeded")
    _show_operation(operation)
    _show_requests(world, "-o", "wide")
    _command("kubectl get pods --selector=job-name=promote-images", _hook_pods(world) or "(none: the Job never runs)")
    _say("the controller has put its own statement into the source repository's policy, and no other")
    _show_source_policy(world.registries, statements=1)
    _command(f"kubectl events --for {REQUESTS}/…", _events_of(world, "v1.4.2"))
    _verify(world, "v1.4.2", digests)
    _verify_absent(world, ("v1.4.1", "v1.5.0"))
    return application


def _show_next_version(
    world: World, application: Application, repository: GitRepository, digests: dict[str, str]
) -> None:
    _chapter("A release engineer commits v1.5.0: the sync waits for it, then the Deployment is changed")
    operation = _commit(application, repository, "v1.5.0")
    _expect(operation, "Succeeded")
    _show_operation(operation)
    _expect_deployed(world, "v1.5.0")
    _show_requests(world)
    _verify(world, "v1.5.0", digests)
    _command("kubectl get promotionpolicy shop-to-production -o jsonpath=…", _policy_conditions(world))


def _show_failure(world: World, application: Application, repository: GitRepository) -> None:
    _chapter("A commit that names a tag that does not exist: the sync fails with the reason, v1.5.0 stays deployed")
    operation = _commit(application, repository, "v9.9.9")
    _expect(operation, "Failed")
    _show_operation(operation)
    if "shop/checkout:v9.9.9 does not exist" not in operation.line("Job", "promote-images").message:
        raise WorldError("The failed sync does not say why.")
    _expect_deployed(world, "v1.5.0")
    _show_requests(world)
    _command(f"kubectl events --for {REQUESTS}/…   # the reason outlives the hook", _events_of(world, "v9.9.9"))
    _verify_absent(world, ("v9.9.9",))


def _show_rollback(world: World, application: Application, repository: GitRepository) -> None:
    _chapter("Back to v1.4.2: the image is there, so the hook is complete at once and nothing is copied")
    ledger = Ledger(world.registries)
    before = ledger.requests(account=PRODUCTION)["ecr:PutImage"]
    operation = _commit(application, repository, "v1.4.2")
    _expect(operation, "Succeeded")
    _show_operation(operation)
    _expect_deployed(world, "v1.4.2")
    after = ledger.requests(account=PRODUCTION)["ecr:PutImage"]
    if after != before:
        raise WorldError(f"{after - before} images were written though nothing was missing.")
    _say("PutImage in production: none")


def _show_around_the_hook(world: World, digests: dict[str, str]) -> None:
    _chapter("Somebody goes around the hook with kubectl: the workload is watched, and its image follows")
    image = f"{DESTINATION_IMAGE}:v1.4.1"
    run = world.cluster.kubectl
    run("set", "image", "deployment/checkout", f"checkout={image}", _in_shop())
    _say(f"kubectl set image deployment/checkout checkout={image}")
    name = _wait_for_request(world, "v1.4.1")
    run("wait", "--for=condition=Ready", f"--timeout={PATIENCE_SECONDS:.0f}s", f"{REQUESTS}/{name}", _in_shop())
    _show_requests(world)
    _verify(world, "v1.4.1", digests)


def _show_node(world: World, digest: str) -> None:
    _chapter("A real node joins (kubelet, containerd): its pods pull the promoted image from production and are Ready")
    run = world.cluster.kubectl
    with Node(world):
        runtime = "NAME:.metadata.name,RUNTIME:.status.nodeInfo.containerRuntimeVersion"
        _command("kubectl get nodes", run("get", "nodes", f"--output=custom-columns={runtime}"))
        run("rollout", "status", "deployment/checkout", f"--timeout={2 * PATIENCE_SECONDS:.0f}s", _in_shop())
        listed = json.loads(run("get", "pods", _in_shop(), "--output=json"))["items"]
    pods = [each for each in listed if "deletionTimestamp" not in each["metadata"]]
    states = [(each["metadata"]["name"], each["status"]["containerStatuses"][0]) for each in pods]
    rows = [f"{name}  ready: {state['ready']}  {state['imageID']}" for name, state in states]
    _command("kubectl get pods -o custom-columns=…", "\n".join(rows))
    if not states or not all(state["ready"] and state["imageID"].endswith(digest) for _, state in states):
        raise WorldError(f"Every pod was to be ready and to run {digest}.")


def _commit(application: Application, repository: GitRepository, tag: str) -> Operation:
    """Commit another tag, tell Argo CD as a webhook of the forge would, and wait for the sync to end."""
    overlay = repository.directory / OVERLAY
    _kustomize("edit", "set", "image", f"shop/checkout={DESTINATION_IMAGE}:{tag}", directory=overlay)
    revision = repository.commit({}, f"Run checkout {tag}")
    _command(f"kustomize edit set image shop/checkout=…:{tag} && git commit", _images(overlay))
    application.refresh()
    return application.until_ended(revision)


def _show_operation(operation: Operation) -> None:
    lines = [f"{operation.phase}: {operation.message}"]
    lines += [
        f"{each.kind:<11}{each.name:<16}{each.hook_phase or each.status:<10} {each.message}" for each in operation.lines
    ]
    _command("kubectl get application shop --namespace argocd -o jsonpath={.status.operationState}", "\n".join(lines))


def _expect(operation: Operation, phase: str) -> None:
    if operation.phase != phase:
        raise WorldError(f"The sync was to be {phase}: {operation}")


def _expect_deployed(world: World, tag: str) -> None:
    path = "jsonpath={.spec.template.spec.containers[0].image}"
    seen = world.cluster.kubectl("get", "deployment", "checkout", _in_shop(), f"--output={path}")
    _command("kubectl get deployment checkout -o jsonpath=…image", seen)
    if not seen.endswith(f":{tag}"):
        raise WorldError(f"The Deployment was to name {tag}.")


def _hook_pods(world: World) -> str:
    return world.cluster.kubectl("get", "pods", _in_shop(), "--selector=job-name=promote-images")


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


def _events_of(world: World, tag: str) -> str:
    name = _wait_for_request(world, tag)
    return world.cluster.kubectl("events", f"--for={REQUESTS}/{name}", _in_shop())


def _policy_conditions(world: World) -> str:
    path = "jsonpath={range .status.conditions[*]}{.type} {.status}: {.message}{'\\n'}{end}"
    return world.cluster.kubectl("get", "promotionpolicies.transship.dev/shop-to-production", f"--output={path}")


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
