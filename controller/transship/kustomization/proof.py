"""The proof of an edit: rendered before and after, the images that were to change have, and nothing else."""

from collections import Counter
from collections.abc import Callable, Sequence

from transship.kustomization import found
from transship.kustomization.around import listed
from transship.kustomization.changes import Pair, differences
from transship.kustomization.files import refused
from transship.kustomization.overlay import Overlay, Place, Wanted
from transship.kustomization.places import joined, split
from transship.kustomization.render import Rendered, Renderer


def prove(overlay: Overlay, renderer: Renderer) -> Rendered:
    """See that an overlay's edits do exactly what they are for, before anything is written.

    Returns:
        What it renders to with the edits.

    Raises:
        NeedsHuman: InvalidRequest: it cannot be rendered, an image is not what is wanted, or something else changes.
    """
    before = renderer.render(overlay.path)
    after = renderer.render_changed(overlay.path, overlay.layer, overlay.changed)
    require_exactly(before, after, overlay.wanted, overlay.where)
    return after


def require_exactly(
    before: Rendered, after: Rendered, wanted: Sequence[Wanted], where: Callable[[str], Sequence[Place]]
) -> None:
    """See that the wanted images have changed, all of them, and nothing else; `where` says where one is set.

    Raises:
        NeedsHuman: InvalidRequest: it is not so.
    """
    if [each.id for each in before.resources] != [each.id for each in after.resources]:
        raise refused("the edit would change which resources there are; change the image by hand")
    met = [_require_wanted(before, after, each, where) for each in wanted]
    for old, new in zip(before.resources, after.resources, strict=True):
        images = zip(_images(Rendered((old,))), _images(Rendered((new,))), strict=False)
        expected = Counter(
            Pair(one, other) for one, other in images if one != other and any(_is_asked(one, each) for each in wanted)
        )
        if Counter(differences(old.content, new.content)) != expected:
            raise refused(f"the edit would change more of {old.id} than the image; change it by hand")
    for each, is_met in zip(wanted, met, strict=True):
        if not is_met:
            name = joined(each.name, each.tag, each.digest)
            raise refused(f"the edit would have no effect: nothing that is rendered has {name}; see where it is set")


def _require_wanted(before: Rendered, after: Rendered, wanted: Wanted, where: Callable[[str], Sequence[Place]]) -> bool:
    is_met = False
    for old, new in zip(found.images(before), found.images(after), strict=False):
        if not _is_asked(old.image, wanted):
            continue
        if not wanted.is_met(new.image):
            name = joined(wanted.name, wanted.tag, wanted.digest)
            raise refused(
                f"{new.resource}, container {new.container}, would have {new.image} and not {name}: it is set "
                f"elsewhere as well, see {listed(where(wanted.name))}"
            )
        is_met = True
    return is_met


def _is_asked(image: str, wanted: Wanted) -> bool:
    return split(image)[0] in wanted.names


def _images(rendered: Rendered) -> list[str]:
    return [each.image for each in found.images(rendered)]
