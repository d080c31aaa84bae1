"""PromotionPolicies of files checked, and what is wrong with them printed."""

from collections.abc import Sequence

import typer

from transship.cli.exits import Exit
from transship.cli.lint import as_document, lint
from transship.cli.output import Output, clean


def lint_files(files: Sequence[str], out: Output) -> None:
    """Print everything that is wrong.

    Raises:
        typer.Exit: something is.
    """
    count, problems = lint(files)
    out.show(
        [as_document(each) for each in problems],
        lambda: "\n".join(clean(str(each)) for each in problems),
        [f"{each.file}:{each.line}" for each in problems],
    )
    if problems:
        many = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        out.say(f"transship: {many} in {count} PromotionPolic{'ies' if count != 1 else 'y'}")
        raise typer.Exit(Exit.ERROR)
    out.say(f"{count} PromotionPolic{'ies' if count != 1 else 'y'}, and nothing wrong")
