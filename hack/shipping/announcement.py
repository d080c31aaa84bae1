"""What was pushed, said to people and, in a GitHub workflow, to the steps that follow."""

import os
from pathlib import Path

OUTPUT_VARIABLE = "GITHUB_OUTPUT"


def announce(reference: str) -> None:
    """Print a reference by digest; a workflow has it as outputs `reference`, `name` and `digest` of the step."""
    print(reference, flush=True)
    if outputs := os.environ.get(OUTPUT_VARIABLE):
        name, _, digest = reference.rpartition("@")
        with Path(outputs).open("a", encoding="utf-8") as file:
            file.write(f"reference={reference}\nname={name}\ndigest={digest}\n")
