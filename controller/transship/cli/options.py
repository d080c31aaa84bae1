"""Groups of options: what several commands take in the same way."""


class OptionGroup:
    """Options that several commands take: a frozen dataclass whose fields are `Annotated` with `typer.Option`."""
