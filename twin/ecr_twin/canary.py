"""A canary: a word woven into every secret that the twin hands out, for tests to look for where none belongs."""

import base64
from urllib.parse import quote


def spellings(canary: str) -> frozenset[str]:
    """How a canary may look in a text: as it is, quoted, and inside base64 at each of its three places."""
    inner = {base64.b64encode(b"\0" * shift + canary.encode()).decode() for shift in range(3)}
    # The edges of base64 depend on what is beside the word.
    return frozenset({canary, quote(canary, safe=""), *(text[4:-4] for text in inner)})
