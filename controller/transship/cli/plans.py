"""The plans of overlays: made, printed, and what a pipeline is told of them."""

from collections.abc import Sequence

from transship.cli.engine import Stop, build_promoter
from transship.cli.environment import load_settings
from transship.cli.exits import Exit
from transship.cli.inputs import Input
from transship.cli.kube import Kube
from transship.cli.looking import Looking
from transship.cli.output import Output, clean
from transship.cli.overlay_options import PolicyOptions
from transship.cli.plan_document import document
from transship.cli.plan_options import PlanFormat, PlanOutput
from transship.cli.plan_text import markdown, text
from transship.cli.planning import Planned, plan, wanted_images
from transship.cli.registries import build_registries


def plan_all(inputs: Sequence[Input], policies: PolicyOptions, kube: Kube, out: Output) -> list[Planned]:
    """The plan of each overlay or stream.

    Raises:
        PolicyError, NeedsHuman, RetryLater: the plan could not even be begun.
    """
    settings = load_settings(Exit.ERROR)
    folders = dict.fromkeys(each.folder for each in inputs)
    found = {folder: policies.read(folder, kube, out) for folder in folders}
    looking = Looking(build_registries(settings))
    promoter = build_promoter(settings, looking, Stop())  # nothing is written, so Ctrl-C may end it as it comes
    plans = []
    for each in inputs:
        out.detail(f"looking at {each.name}")
        wanted = wanted_images(each.images, kube.namespace or "")
        images = plan(wanted, found[each.folder], looking, promoter)
        plans.append(Planned(each.name, found[each.folder].origin, images))
    return plans


def show(plans: Sequence[Planned], out: PlanOutput) -> None:
    """Print plans."""
    names = [str(each.destination) for planned in plans for each in planned.images if each.is_to_do]
    if out.output is PlanFormat.MARKDOWN:
        out.plain.print(markdown(plans))
    else:
        out.plain.show(document(plans), lambda: "\n\n".join(text(each, verbose=out.verbose) for each in plans), names)
    images = [each for planned in plans for each in planned.images]
    wrong = [each for each in images if each.is_wrong]
    if wrong:
        out.plain.say(
            f"transship: {len(wrong)} of {len(images)} images cannot be promoted as they are, "
            f"{clean(wrong[0].wanted.image)} for one: {clean(wrong[0].message)}"
        )


def status(plans: Sequence[Planned]) -> Exit:
    """The exit code of plans."""
    if any(each.is_wrong for each in plans):
        return Exit.ERROR
    return Exit.SOMETHING_TO_DO if any(each.is_to_do for each in plans) else Exit.OK
