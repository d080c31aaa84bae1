"""What of the documentation is generated: docs/cli.md from the commands, docs/schemas from the definitions.

`python -m reference` writes it, `python -m reference --check` compares it.
"""
