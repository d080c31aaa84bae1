"""The places that have to do with one image, and which of them decide."""

from collections.abc import Sequence
from dataclasses import dataclass

from transship.kustomization.files import refused
from transship.kustomization.layers import Role
from transship.kustomization.places import Entry, How, Line, Opaque, Place, Places, names_of

MAX_NAMED = 10
"""Places that a sentence names."""
PATCHES = frozenset({How.PATCH, How.JSON_PATCH})


@dataclass(frozen=True, slots=True)
class Around:
    """The places that have to do with one image, whatever it is called on its way.

    Attributes:
        all_lines: those of other images, too.
    """

    opaque: list[Opaque]
    entries: list[Entry]
    lines: list[Line]
    all_lines: list[Line]

    @classmethod
    def of(cls, places: Places, name: str) -> "Around":
        """Those of all places that have to do with an image."""
        names = names_of(places.entries, name)
        entries = [each for each in places.entries if each.names & names]
        opaque = [each for each in places.opaque if each.concerns(names)]
        return cls(opaque, entries, [each for each in places.lines if each.name in names], places.lines)

    def places(self) -> tuple[Place, ...]:
        """All of them: what no text says first, then entries, then lines."""
        return (
            *(each.place for each in self.opaque),
            *(each.place for each in self.entries),
            *(each.place for each in self.lines),
        )

    @property
    def own_entries(self) -> list[Entry]:
        """Entries of the overlay itself."""
        return [each for each in self.entries if each.place.is_ours]

    @property
    def patches(self) -> list[Line]:
        """Lines of patches."""
        return [each for each in self.lines if each.place.how in PATCHES]

    def own_lines(self) -> list[Line]:
        """The overlay's lines that decide: patches, and resources that none of them is for."""
        patches = [each for each in self.patches if each.place.is_ours]
        resources = [each for each in self.lines if each.place.is_ours and each.place.how is How.RESOURCE]
        return [*patches, *(each for each in resources if not any(one.covers(each) for one in patches))]

    def deciding(self) -> list[Entry | Line]:
        """What decides outside of the overlay: not the lines of resources, which are there to be overridden."""
        places: list[Entry | Line] = [*self.entries, *self.patches]
        return [each for each in places if not each.place.is_ours]

    def patched_away(self) -> list[Line]:
        """The overlay's patches that give other images to all containers that have this one below."""
        patches = [each for each in self.all_lines if each.place.is_ours and each.place.how in PATCHES]
        others = [each for each in patches if any(each.covers(line) for line in self.lines)]
        is_all = all(any(each.covers(line) for each in others) for line in self.lines)
        return others if self.lines and is_all else []

    def require_text(self, name: str) -> None:
        """See that no more than text decides."""
        if self.opaque:
            raise refused(f"{name} is set by what is not edited here, see {listed(self.places())}: change it by hand")

    def require_last(self, name: str) -> None:
        """See that no component comes after the overlay's own lines."""
        if later := [each.place for each in self.entries if each.role is Role.COMPONENT]:
            own = [each.place for each in self.own_lines()]
            raise refused(f"{name} is set in several places, {listed([*later, *own])}: leave one of them")


def listed(places: Sequence[Place]) -> str:
    """Places in a sentence."""
    more = len(places) - MAX_NAMED
    return ", ".join(str(each) for each in places[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
