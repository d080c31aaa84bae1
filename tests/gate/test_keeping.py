"""When the list of a namespace is written, against lists in memory and a clock that is set by hand."""

from collections.abc import Mapping
from typing import Any

import pytest

from gate.lists import MemoryLists
from transship.errors import NeedsHuman, Reason, RetryLater
from transship.metrics import Metrics
from transship.operator.known import Known
from transship.operator.promoted import Gate
from transship.operator.queue import WorkQueue
from transship.promotion import promoted
from transship.promotion.request import PromotionRequest
from transship.promotion.workload import Workload

DESTINATION = "222222222222.dkr.ecr.eu-west-1.amazonaws.com"
IMAGE, NEXT = f"{DESTINATION}/shop/checkout:v1", f"{DESTINATION}/shop/checkout:v2"
DIGEST = f"sha256:{'1' * 64}"
CREATED = "2026-01-02T03:04:05Z"
GRACE = 60.0
PROVEN = {"outcome": "Copied", "digest": DIGEST}


def metadata(name: str, version: int = 1) -> dict[str, Any]:
    stamps = {"uid": f"uid-of-{name}", "generation": 1, "resourceVersion": str(version), "creationTimestamp": CREATED}
    return {"name": name, "namespace": "shop", **stamps}


class Bench:
    """One gate, the picture it looks at, and the lists it writes."""

    def __init__(self, lists: MemoryLists | None = None, *, is_on: bool = True) -> None:
        self.now = 1000.0
        self.known = Known()
        self.lists = lists or MemoryLists()
        self.looks: list[str] = []
        self.queue: WorkQueue[str] = WorkQueue("promoted", lambda _: None, 1)
        self.gate = Gate(
            known=self.known,
            lists=self.lists,
            metrics=Metrics("test"),
            is_on=is_on,
            grace=GRACE,
            resync=600.0,
            now=lambda: self.now,
            look=lambda namespace, _: self.looks.append(namespace),
        )
        self.label("enforce")

    def label(self, value: str) -> None:
        self.known.see_namespace({"metadata": {"name": "shop", "labels": {"transship.dev/gate": value}}})

    def request(self, image: str = IMAGE, name: str = "release", version: int = 1, **status: str) -> PromotionRequest:
        """See a request with the status of its one image."""
        images = {"observedGeneration": 1, "images": [{"name": "app", **status}]}
        spec = {"containers": [{"name": "app", "image": image}]}
        resource = {"metadata": metadata(name, version), "spec": spec, "status": images}
        return self.known.see_request(resource)[0]

    def workload(self, *images: str, version: int = 1) -> Workload:
        containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
        resource = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata("checkout", version)}
        seen = self.known.see_workload(resource | {"spec": {"template": {"spec": {"containers": containers}}}})
        assert seen is not None
        return seen

    def after(self, seconds: float = 0.0) -> Mapping[str, str]:
        """What is listed once the namespace has been looked at, that much later."""
        self.now += seconds
        self.gate.reconcile("shop", self.queue)
        return self.listed()

    def listed(self) -> Mapping[str, str]:
        found = self.lists.objects.get("shop")
        return found["spec"]["references"] if found is not None else {}


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_labelled_namespace_has_a_list_even_with_nothing_in_it(bench: Bench) -> None:
    bench.after()

    assert bench.lists.objects["shop"]["spec"] == {"references": {}}


def test_what_is_admitted_is_listed_at_once_beside_what_is_there(bench: Bench) -> None:
    bench.request(NEXT, "next", **PROVEN)
    bench.after()

    # As the request will be: its status has not been written yet.
    bench.gate.admit(bench.request(IMAGE, **PROVEN))

    assert {IMAGE, NEXT} <= bench.listed().keys()


def test_what_is_admitted_stays_though_its_status_is_not_seen_yet(bench: Bench) -> None:
    request = bench.request(IMAGE, **PROVEN)
    bench.known.forget_request(request.key, request.uid)

    bench.gate.admit(request)

    assert IMAGE in bench.after(GRACE - 1)
    assert IMAGE not in bench.after(2)


def test_nobody_is_told_while_the_list_cannot_be_written(bench: Bench) -> None:
    bench.lists.failure = RetryLater(Reason.UNREACHABLE, "does not answer")

    with pytest.raises(RetryLater):
        bench.gate.admit(bench.request(IMAGE, **PROVEN))


def test_a_full_list_is_told_to_whoever_wants_more(bench: Bench) -> None:
    long = f"{DESTINATION}/{'/'.join(['part' * 20] * 3)}"
    for number in range(2000):
        bench.request(f"{long}:v{number:04}", f"r{number}", **PROVEN)
    bench.after()

    with pytest.raises(NeedsHuman, match="are full"):
        bench.gate.admit(bench.request(IMAGE, **PROVEN))


def test_without_the_gate_nothing_is_read_or_written() -> None:
    bench = Bench(is_on=False)
    bench.lists.failure = AssertionError("nobody may ask")

    bench.gate.admit(bench.request(IMAGE, **PROVEN))
    bench.gate.judged(bench.workload(IMAGE), {IMAGE: DIGEST})
    bench.gate.all_changed()

    assert bench.after() == {}
    assert bench.looks == []


def test_a_namespace_that_does_not_ask_has_no_list(bench: Bench) -> None:
    bench.request(IMAGE, **PROVEN)
    assert bench.after()
    bench.label("off")

    bench.after()

    assert "shop" not in bench.lists.objects
    bench.label("warn")
    assert IMAGE in bench.after()


def test_a_list_found_without_its_label_is_deleted(bench: Bench) -> None:
    bench.label("off")
    left = bench.lists.write_promoted_images(promoted.to_resource("shop", {IMAGE: DIGEST}))
    assert left is not None
    bench.gate.see(left, is_gone=False)

    bench.after()

    assert "shop" not in bench.lists.objects


def test_a_list_is_written_only_when_it_changes(bench: Bench) -> None:
    bench.request(IMAGE, **PROVEN)
    bench.after()
    bench.after()
    bench.gate.admit(bench.request(IMAGE, version=2, **PROVEN))

    assert bench.lists.writes == 1


def test_the_images_of_a_workload_are_listed_when_they_were_seen_at_the_destination(bench: Bench) -> None:
    workload = bench.workload(IMAGE, NEXT, "sidecar:v1")
    assert bench.after() == {}

    bench.gate.judged(workload, {IMAGE: DIGEST, NEXT: "", "sidecar:v1": ""})

    assert bench.looks
    assert bench.after().keys() == set(promoted.spellings(IMAGE, DIGEST))


def test_a_workload_that_is_gone_takes_its_images_along_after_a_while(bench: Bench) -> None:
    workload = bench.workload(IMAGE)
    bench.gate.judged(workload, {IMAGE: DIGEST})
    bench.after()
    bench.known.forget_workload(workload.key, workload.uid)

    assert IMAGE in bench.after(GRACE - 1), "self-heal may be about to create it again"
    assert bench.after(2) == {}


def test_a_workload_whose_images_could_not_be_looked_at_keeps_them(bench: Bench) -> None:
    bench.gate.judged(bench.workload(IMAGE), {IMAGE: DIGEST})
    bench.after()
    workload = bench.known.workload(bench.known.workload_keys()[0])
    assert workload is not None

    bench.gate.judged(workload, {})

    assert IMAGE in bench.after(10 * GRACE)
    bench.gate.judged(workload, {IMAGE: ""})
    assert IMAGE not in bench.after(10 * GRACE)


def test_a_restarted_operator_keeps_what_it_has_not_judged_yet() -> None:
    before = Bench()
    before.gate.judged(before.workload(IMAGE), {IMAGE: DIGEST})
    before.request(NEXT, **PROVEN)
    before.after()

    bench = Bench(before.lists)

    assert bench.after() == before.listed(), "no watch has told anything yet"
    bench.workload(IMAGE)
    assert bench.after(10 * GRACE).keys() == set(promoted.spellings(IMAGE, DIGEST)), "seen, and not judged yet"


def test_what_another_hand_wrote_is_taken_out_at_once(bench: Bench) -> None:
    bench.request(IMAGE, **PROVEN)
    bench.after()
    version = bench.lists.objects["shop"]["metadata"]["resourceVersion"]
    foreign = bench.lists.write_promoted_images(promoted.to_resource("shop", {"evil:v1": DIGEST}, version))
    assert foreign is not None

    bench.gate.see(foreign, is_gone=False)

    assert bench.after().keys() == set(promoted.spellings(IMAGE, DIGEST))


def test_a_write_that_came_second_is_done_again_upon_what_is_there(bench: Bench) -> None:
    bench.request(IMAGE, **PROVEN)
    bench.after()
    version = bench.lists.objects["shop"]["metadata"]["resourceVersion"]
    bench.lists.write_promoted_images(promoted.to_resource("shop", {"evil:v1": DIGEST}, version))

    bench.gate.admit(bench.request(NEXT, "next", **PROVEN))

    assert bench.listed().keys() == {*promoted.spellings(IMAGE, DIGEST), *promoted.spellings(NEXT, DIGEST)}


def test_a_deleted_list_is_written_again_and_old_news_changes_nothing(bench: Bench) -> None:
    bench.request(IMAGE, **PROVEN)
    bench.after()
    first = bench.lists.objects.pop("shop")
    bench.gate.see({**first, "metadata": {**first["metadata"], "resourceVersion": "99"}}, is_gone=True)
    assert IMAGE in bench.after()
    bench.lists.objects["shop"]["metadata"]["resourceVersion"] = "100"
    bench.gate.see(bench.lists.objects["shop"], is_gone=False)
    bench.after()

    bench.gate.see({**first, "spec": {"references": {}}}, is_gone=False)

    writes = bench.lists.writes
    assert IMAGE in bench.after()
    assert bench.lists.writes == writes
