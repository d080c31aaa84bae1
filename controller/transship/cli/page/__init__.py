"""The page that `transship report` makes: its template, style and script, and what fills them in.

What belongs here: how the page looks. What it says is decided in `promotion.overview` and its neighbours.
"""

from transship.cli.page.rendering import render

__all__ = ["render"]
