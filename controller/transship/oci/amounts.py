"""How much a copy has to do: counted before anything is written, by what the destination lacks."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from transship.oci.attaching import Attaching
from transship.oci.buffers import BUFFER_BYTES
from transship.oci.closure import Closure
from transship.oci.descriptor import Descriptor
from transship.oci.digest import Digest
from transship.oci.lacking import Missing
from transship.oci.reference import Tag


@dataclass(frozen=True, slots=True)
class Amounts:
    """What has to be written of one image and of what is attached to it, in numbers.

    Attributes:
        whole: everything the image's digest stands for.
        lacking: what the destination lacks of it.
        tag: what the image is to be called there; None for its digest alone.
        attaching: what is to be done about what is attached to it.
    """

    whole: Closure
    lacking: Missing
    tag: Tag | None
    attaching: Attaching

    @property
    def missing(self) -> tuple[Descriptor, ...]:
        """Blobs and manifests that have to be moved."""
        gone = self.lacking.blobs | self.lacking.manifests | self.attaching.lacking
        every = (*self.whole.descriptors, *self.attaching.beside(self.whole))
        return tuple(each for each in every if each.digest in gone)

    @property
    def bytes_missing(self) -> int:
        """Bytes that have to be moved."""
        return sum(each.size for each in self.missing)

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Blobs that have to be moved, those of what is attached included."""
        gone = self.lacking.blobs.union(*(step.lacking.blobs for step in self.attaching.steps))
        every = (*self.whole.blobs, *self.attaching.beside(self.whole))
        return tuple(each for each in every if each.digest in gone)

    @property
    def manifests_missing(self) -> int:
        """Manifests that have to be put, those of what is attached included."""
        return len(self.lacking.manifests.union(*(step.lacking.manifests for step in self.attaching.steps)))

    def beside(self, moved: AbstractSet[Digest]) -> "Amounts":
        """What is left when another image brings some of the blobs to the same repository."""
        steps = tuple(replace(step, lacking=_without(step.lacking, moved)) for step in self.attaching.steps)
        attaching = replace(self.attaching, steps=steps)
        return replace(self, lacking=_without(self.lacking, moved), attaching=attaching)

    @property
    def requests(self) -> Mapping[str, int]:
        """Requests a copy would make, by kind, when nothing has to be tried again."""
        writes = self.manifests_missing + sum(len(step.tags) for step in self.attaching.steps)
        if self.tag is not None and (self.attaching or self.whole.root.descriptor.digest not in self.lacking.manifests):
            writes += 1
        return {
            "read blob": len(self.blobs),
            "push blob": sum(2 + self.is_large(each) for each in self.blobs),
            "push manifest": writes,
            "prove": len(self.whole.manifests),
        }

    @staticmethod
    def is_large(blob: Descriptor) -> bool:
        """Whether a blob takes a request between those that open and close its upload: one chunk closes it."""
        return blob.size > BUFFER_BYTES


def _without(lacking: Missing, blobs: AbstractSet[Digest]) -> Missing:
    return replace(lacking, blobs=lacking.blobs - blobs)
