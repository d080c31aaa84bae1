"""Peak memory of a process that copies: bounded, however large a layer is and however many images there are."""

import json
import subprocess
import sys
from pathlib import Path

from registry.factory import Factory, Layer, made_of

CHILD = Path(__file__).with_name("copy_child.py")
MEBIBYTE = 1024 * 1024
BOUND = 150 * MEBIBYTE


def peak_of(factory: Factory, *images: str, at_once: int = 1, blobs: int = 32) -> int:
    """Copy images in a process of its own, and say how much memory it had at most, in bytes."""
    command = [sys.executable, str(CHILD), factory.source, factory.destination, str(at_once), str(blobs), *images]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    said = json.loads(ended.stdout)
    manifests = {image.rpartition(":")[2]: factory.images[image.rpartition(":")[2]] for image in images}
    assert said["copied"] >= sum(each.size for each in {blob for each in manifests.values() for blob in each.blobs})
    assert set(factory.taken.values()) == {1}
    return int(said["peak"])


def test_a_layer_larger_than_all_the_memory_there_may_be_is_copied_within_the_bound() -> None:
    layer = Layer(1, 300 * MEBIBYTE)
    with Factory([layer], {"v1": made_of(layer)}) as factory:
        assert peak_of(factory, "shop/large:v1") <= BOUND


def test_several_large_layers_at_once_are_copied_within_the_bound() -> None:
    layers = [Layer(number, 40 * MEBIBYTE) for number in range(1, 9)]
    with Factory(layers, {"v1": made_of(*layers)}) as factory:
        assert peak_of(factory, "shop/large:v1") <= BOUND


def test_a_hundred_images_at_once_are_copied_within_the_bound_and_what_they_share_is_sent_once() -> None:
    shared = [Layer(1, 8 * MEBIBYTE), Layer(2, MEBIBYTE)]
    own = [Layer(number, MEBIBYTE) for number in range(100, 200)]
    images = {f"v{each.number}": made_of(*shared, each) for each in own}
    with Factory([*shared, *own], images) as factory:
        assert peak_of(factory, *(f"shop/one:{tag}" for tag in images), at_once=100) <= BOUND
