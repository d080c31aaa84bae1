"""Digests: the identity of content."""

import hashlib
import re
from dataclasses import dataclass
from typing import Protocol, Self

# image-spec, descriptor.md "Digests"; only registered algorithms are accepted: an unknown one cannot be checked.
_HEX_LENGTHS = {"sha256": 64, "sha512": 128}
_HEX = re.compile(r"[a-f0-9]+\Z")


class Hasher(Protocol):
    """The part of a hashlib object that is needed to digest a stream."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take in the next bytes."""

    def hexdigest(self) -> str:
        """Lower-case hex of everything taken in so far."""


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A content digest, `algorithm:hex`. A value exists only if it parsed."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `algorithm:hex`.

        Raises:
            ValueError: the algorithm is not sha256 or sha512, or the hex part has not its length and alphabet.
        """
        algorithm, colon, encoded = text.partition(":")
        if not colon or algorithm not in _HEX_LENGTHS:
            raise ValueError(f"digest {text[:100]!r} does not start with sha256: or sha512:")
        if len(encoded) != _HEX_LENGTHS[algorithm] or not _HEX.match(encoded):
            raise ValueError(f"digest {text[:150]!r} needs {_HEX_LENGTHS[algorithm]} lower-case hex characters")
        return cls(algorithm, encoded)

    @classmethod
    def of(cls, content: bytes, algorithm: str = "sha256") -> Self:
        """Digest of bytes held in memory."""
        return cls(algorithm, hashlib.new(algorithm, content).hexdigest())

    def hasher(self) -> Hasher:
        """A fresh hasher of this digest's algorithm, to check a stream against it."""
        return hashlib.new(self.algorithm)

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"
