"""The hook that `transship check --fix` writes, worked out and tried before anything is written.

A check without --fix does the same, so that it offers only what can be done.
"""

from collections.abc import Sequence
from pathlib import Path

from transship.cli.checking import Demands, check, needed
from transship.cli.configuration import Configuration
from transship.cli.inputs import Input
from transship.cli.overlay_options import Rendering
from transship.cli.planning import WantedImage, containers, wanted_images
from transship.errors import NeedsHuman, Reason
from transship.kustomization import HOOK
from transship.kustomization.found import images as images_of
from transship.kustomization.hook import HookFile, hook_file
from transship.promotion.request import require_fitting


def hook_of(
    given: Input, wanted: Sequence[WantedImage], found: Configuration, rendering: Rendering, namespace: str
) -> HookFile:
    """The hook with which nothing would be said of hooks any more; nothing is written.

    Args:
        given: an overlay, or a stream, which has no hook of its own.
        wanted: all images of it.
        found: its policies.
        rendering: how overlays are rendered.
        namespace: of resources that name none; empty where nobody said.

    Raises:
        NeedsHuman: InvalidRequest: there can be none; what to do instead.
    """
    if not given.is_overlay:
        raise _refused("it is rendered already, so change the hook by hand where it comes from")
    _require_own(given.name, given.folder, wanted)
    covered = needed(wanted, found)
    images = containers(covered)
    if not images:
        raise _refused(f"nothing in {given.name} needs a hook; take it out of the overlay")
    require_fitting(images)
    written = hook_file(
        given.folder, _namespace(given.name, covered, namespace), [(each.name, each.image) for each in images]
    )
    after = wanted_images(images_of(written.render(rendering.options)), namespace)
    for each in check(after, found, Demands(), None):
        if each.is_fixable:
            raise _refused(
                f"with {HOOK} in {given.name} it would still be said of {each.image.image} that {each.message}; see "
                "what the overlay makes of the hook"
            )
    return written


def _require_own(name: str, overlay: Path, wanted: Sequence[WantedImage]) -> None:
    own = (overlay / HOOK).resolve()
    files = {each.file for image in wanted for each in image.found if each.is_hook}
    others = {each for each in files if Path(each).resolve() != own}
    if others:
        listed = ", ".join(sorted(others))
        raise _refused(f"the hook of {name} is not its own {HOOK} but comes from {listed}; name the images there")


def _namespace(name: str, covered: Sequence[WantedImage], namespace: str) -> str:
    """The one that a hook has to be in; empty where no resource names one."""
    written = {place.resource.namespace for each in covered for place in each.found if not place.is_hook}
    names = {each or namespace for each in written}
    if len(names) == 1:
        return names.pop() if written != {""} else ""
    listed = ", ".join(sorted(each or "none" for each in names))
    unnamed = "say with -n what none is, or " if "" in names else ""
    raise _refused(
        f"the images of {name} are in several namespaces ({listed}), and a hook is in one; {unnamed}write a hook for "
        "each by hand, or an overlay for each"
    )


def _refused(sentence: str) -> NeedsHuman:
    return NeedsHuman(Reason.INVALID_REQUEST, sentence)
