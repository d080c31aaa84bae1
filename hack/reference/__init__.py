"""What of the documentation is generated: docs/cli.md from the commands, docs/schemas from the definitions.

And the version, which is written in pyproject.toml only, wherever else it stands.

`python -m reference` writes it, `python -m reference --check` compares it.
"""
