"""A small world of the benchmark, on loopback and without a namespace."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from localworld.paths import REPOSITORY
from localworld.ports import LOOPBACK, free_ports

sys.path.insert(0, str(REPOSITORY / "benchmarks"))  # its programs are started from there

from copying.content import Generator
from copying.namespace import Place, Places
from copying.scenarios import Images, Network, Scenario
from copying.world import World

KIBIBYTE = 1024
TINY = Images(2, own=(300 * KIBIBYTE,), shared=(1100 * KIBIBYTE,))
MakeWorld = Callable[..., World]


@pytest.fixture
def make_world(delayline_binary: Path, tmp_path: Path) -> Iterator[MakeWorld]:
    """Start the registries of a scenario: `make_world(images=..., network=..., cuts=...)`."""
    assert delayline_binary.is_file()
    with ExitStack() as stack:

        def make(*, images: Images = TINY, network: Network | None = None, **of_scenario: object) -> World:
            scenario = Scenario("T", "a test", images, network or Network(), peers=(), **of_scenario)  # type: ignore[arg-type]
            content = Generator(tmp_path / "content").write("T", images)
            places = Places(*(Place(f"{LOOPBACK}:{port}", f"{LOOPBACK}:{port}") for port in free_ports(3)))
            return stack.enter_context(World(scenario, content, places, tmp_path / "world"))

        yield make
