"""Which version an image of an overlay is to have: as it was named, as another overlay has it, as the source has it."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from transship.cli.configuration import Configuration
from transship.cli.planning import WantedImage, split
from transship.cli.registries import AwsRegistries
from transship.errors import NeedsHuman, Reason
from transship.kustomization.places import split as parts
from transship.oci.digest import Digest
from transship.oci.reference import Reference, Repository, Tag
from transship.promotion.image import find_route

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Choice:
    """What an image is to be set to; the name is that of the overlay's files, without tag and digest."""

    name: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def parse_choice(text: str) -> Choice:
    """Read NAME[:TAG][@DIGEST].

    Raises:
        NeedsHuman: InvalidImage: it is none.
    """
    choice = Choice(*parts(text))
    try:
        Reference.parse(f"{choice.name}:tag")
        if choice.tag:
            Tag.parse(choice.tag)
        if choice.digest or "@" in text:
            Digest.parse(choice.digest)
    except ValueError as error:
        raise NeedsHuman(Reason.INVALID_IMAGE, f"{error}; write NAME:TAG, NAME@DIGEST or both") from error
    return choice


def choices_from(
    wanted: Sequence[WantedImage], others: Sequence[WantedImage], found: Configuration, names: Sequence[str]
) -> list[Choice]:
    """What another overlay runs, for the images of this one.

    An image is the same where it is in the repository that this one's is promoted from, or to.

    Args:
        wanted: images of this overlay.
        others: images of the other one.
        found: the policies of this one.
        names: of images to take, as this overlay names them; all that a policy covers by default.

    Raises:
        NeedsHuman: InvalidRequest: the other overlay runs none of them, or several versions of one.
    """
    chosen: dict[str, Choice] = {}
    for each in split(wanted, found)[0]:
        way = find_route(each.image, found.policies_for(each.namespace), found.namespace(each.namespace))
        name = parts(each.image)[0]
        if names and not any(_is_named(name, given) for given in names):
            continue
        places = {way.source.repository, way.destination.repository}
        versions = {parts(other.image)[1:] for other in others if _repository(other.image) in places}
        if len(versions) > 1:
            several = ", ".join(sorted(":".join(filter(None, version)) for version in versions)[:_SHOWN])
            raise _refused(f"{name} runs there in several versions, {several}; name the one to take")
        if versions:
            ((tag, digest),) = versions
            chosen[name] = Choice(name, tag, digest)
    if not chosen:
        raise _refused("the overlay that --from names runs none of the images of this one")
    return list(chosen.values())


def _is_named(name: str, given: str) -> bool:
    return name == given or name.endswith(f"/{given}")


def _repository(image: str) -> Repository | None:
    try:
        return Reference.parse(image).repository
    except ValueError:
        return None


def pinned(
    choice: Choice,
    names: Collection[str],
    rendered: Iterable[WantedImage],
    found: Configuration,
    registries: AwsRegistries,
) -> Choice:
    """A choice with the digest that its tag has at the source now.

    Args:
        choice: what has been set.
        names: what it may be called once it is rendered.
        rendered: the images of the overlay with the choice in it.
        found: the policies of the overlay.
        registries: of the policies.

    Raises:
        NeedsHuman, RetryLater: no policy covers it, the source does not have it, or cannot be asked.
    """
    image = next((each for each in rendered if parts(each.image)[0] in names), None)
    if image is None:
        raise _refused(f"nothing that is rendered has the image {choice.name}, so there is nothing to pin")
    way = find_route(image.image, found.policies_for(image.namespace), found.namespace(image.namespace))
    descriptor = registries.source(way.policy, way.source.repository).resolve(way.source.target)
    if descriptor is None:
        raise NeedsHuman(Reason.SOURCE_MISSING, f"{way.source} does not exist; push it there or name another")
    return replace(choice, tag=str(way.source.tag or ""), digest=str(descriptor.digest))


def _refused(message: str) -> NeedsHuman:
    return NeedsHuman(Reason.INVALID_REQUEST, message)
