"""What is copied over which network, and by how much each peer has to be slower: the table, as data."""

import math
from dataclasses import dataclass, field, replace

MEBIBYTE = 1024 * 1024
MEGABYTE = 1_000_000

# Names of contenders; how each is run is in `contenders`.
OURS = "ours"
CRANE, REGCTL, SKOPEO = "crane", "regctl", "skopeo"
CRANE_J12 = "crane -j 12"
CRANE_LOOP, REGCTL_LOOP, SKOPEO_LOOP = "crane, loop", "regctl, loop", "skopeo, loop"
CRANE_ALL, CRANE_ALL_J32 = "crane -a", "crane -a -j 32"
CRANE_P8 = "crane, 8 at a time"


@dataclass(frozen=True)
class Images:
    """What is copied: images in one repository, each with layers of its own and layers that all of them have.

    Attributes:
        count: how many images.
        own: sizes, in bytes, of the layers that only one image has.
        shared: sizes of the layers that all images have.
    """

    count: int
    own: tuple[int, ...]
    shared: tuple[int, ...] = ()

    def scaled(self, by: int) -> "Images":
        """The same in small: many images become fewer, few images get smaller layers."""
        if self.count > 1:
            return replace(self, count=max(2, math.ceil(self.count / by)))
        return replace(self, own=tuple(size // by for size in self.own))


@dataclass(frozen=True)
class Network:
    """How far away the registries are, and how they are reached.

    Attributes:
        tls: both registries and the blob host speak TLS.
        like_ecr: Basic credentials are asked for, and blobs are got from another host by a redirect (307).
        round_trip_ms: milliseconds there and back.
        download_rate: bytes per second that one connection gets from a server; 0 is unlimited.
        upload_rate: the same the other way.
    """

    tls: bool = False
    like_ecr: bool = False
    round_trip_ms: float = 0.0
    download_rate: float = 0.0
    upload_rate: float = 0.0


@dataclass(frozen=True)
class Bars:
    """What the figures should be.

    Attributes:
        ratios: peer's wall time / ours, at least.
        memory: bytes of peak memory, at most.
        cpu: our processor time per byte / a peer's, at most.
        requests: our requests / a peer's, at most.
    """

    ratios: dict[str, float] = field(default_factory=dict)
    memory: float | None = None
    cpu: dict[str, float] = field(default_factory=dict)
    requests: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Scenario:
    """One row of the table.

    Attributes:
        name: `B1`, ...
        title: what is special about it.
        images: what is copied.
        network: over what.
        peers: who else does it.
        bars: what is aimed at.
        filled: the destination has everything already.
        ecr_quotas: the destination answers 429 beyond ECR's default quotas.
        cuts: so many downloads break off in their middle.
        keeps_blobs: the destination keeps what it gets, and it is read back; otherwise it hashes blobs as they come
            and refuses a wrong one (for what is too large for memory).
        rounds: at most so many, for what takes long and varies little.
        at_most_rss_of: the scenario whose peak memory ours must not exceed by more than 5 %.
        on_distribution: both registries are CNCF distribution as it is, so that the end-to-end figure is known, too.
        quick: part of the quick run.
    """

    name: str
    title: str
    images: Images
    network: Network
    peers: tuple[str, ...]
    bars: Bars = field(default_factory=Bars)
    filled: bool = False
    ecr_quotas: bool = False
    cuts: int = 0
    keeps_blobs: bool = True
    rounds: int | None = None
    at_most_rss_of: str | None = None
    on_distribution: bool = False
    quick: bool = True

    def scaled(self, by: int) -> "Scenario":
        """The same scenario in small; times of connections and handshakes stay what they are."""
        return replace(self, images=self.images.scaled(by))


FAR = Network(tls=True, like_ecr=True, round_trip_ms=20, download_rate=40 * MEGABYTE)
FAR_BOTH_WAYS = replace(FAR, upload_rate=40 * MEGABYTE)
ONE_LARGE = Images(1, (1024 * MEBIBYTE,))
FOUR_LARGE = Images(1, (256 * MEBIBYTE,) * 4)
HUNDRED_SMALL = Images(100, own=(MEBIBYTE // 8,) * 2, shared=(MEBIBYTE,) * 10)
LOOPS = (CRANE_LOOP, REGCTL_LOOP, SKOPEO_LOOP)
DEFAULTS = (CRANE, REGCTL, SKOPEO)
RSS_LIMIT = 128 * MEBIBYTE

SCENARIOS = (
    Scenario(
        "B1", "one layer of 1 GiB, plain HTTP, no distance", ONE_LARGE, Network(), DEFAULTS,
        Bars({CRANE: 1.3, REGCTL: 1.3, SKOPEO: 1.6}),
    ),
    Scenario(
        "B2", "4 layers of 256 MiB, TLS on both sides, no distance", FOUR_LARGE, Network(tls=True), DEFAULTS,
        Bars({CRANE: 0.95, REGCTL: 1.0, SKOPEO: 1.0}, cpu={CRANE: 1.05}),
    ),
    Scenario(
        "B3", "one layer of 1 GiB, like ECR, 20 ms, 40 MB/s per download", ONE_LARGE, FAR, DEFAULTS,
        Bars(dict.fromkeys(DEFAULTS, 8.0), memory=RSS_LIMIT),
    ),
    Scenario(
        "B4", "4 layers of 256 MiB, like ECR, 20 ms, 40 MB/s per download", FOUR_LARGE, FAR, DEFAULTS,
        Bars({CRANE: 2.2, REGCTL: 4.0, SKOPEO: 2.2}),
    ),
    Scenario(
        "B5", "12 layers of 64 MiB, like ECR, 20 ms, 40 MB/s per connection both ways",
        Images(1, (64 * MEBIBYTE,) * 12), FAR_BOTH_WAYS, (*DEFAULTS, CRANE_J12),
        Bars({CRANE: 2.0, REGCTL: 2.5, SKOPEO: 1.5, CRANE_J12: 0.9}),
    ),
    Scenario(
        "B6", "100 small images that share 10 of 12 layers, like ECR, 20 ms, nothing there yet",
        HUNDRED_SMALL, FAR, (*LOOPS, CRANE_ALL, CRANE_ALL_J32),
        Bars(
            dict.fromkeys(LOOPS, 25.0) | {CRANE_ALL: 4.0, CRANE_ALL_J32: 1.05},
            memory=RSS_LIMIT, requests={CRANE_LOOP: 0.6},
        ),
        rounds=2,
    ),
    Scenario(
        "B7", "the same again: everything is there, a fresh process finds out",
        HUNDRED_SMALL, FAR, (*LOOPS, CRANE_ALL), Bars(dict.fromkeys(LOOPS, 30.0)), filled=True, rounds=2,
    ),
    Scenario(
        "B8a", "B6 under ECR's default quotas (10 manifests and 100 uploads a second)",
        HUNDRED_SMALL, FAR, (*LOOPS, CRANE_ALL, CRANE_P8), Bars({CRANE_P8: 1.0}), ecr_quotas=True, quick=False,
        rounds=2,
    ),
    Scenario(
        "B8b", "one layer of 256 MiB, six downloads break off in their middle",
        Images(1, (256 * MEBIBYTE,)), FAR, DEFAULTS, Bars({SKOPEO: 8.0}), cuts=6,
    ),
    Scenario(
        "B9a", "guard: B3 with the upload capped like the download", ONE_LARGE, FAR_BOTH_WAYS, DEFAULTS,
        Bars(dict.fromkeys(DEFAULTS, 0.98)), rounds=2,
    ),
    Scenario(
        "B9b", "guard: one layer of 10 GiB; memory as in B3", Images(1, (10 * 1024 * MEBIBYTE,)), FAR, (),
        keeps_blobs=False, rounds=1, at_most_rss_of="B3", quick=False,
    ),
    Scenario(
        "D1", "guard: B2's layers from one CNCF distribution v3 to another, plain HTTP, no distance", FOUR_LARGE,
        Network(), DEFAULTS, Bars({CRANE: 0.95}), on_distribution=True,
    ),
)  # fmt: skip
