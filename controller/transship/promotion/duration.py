"""Durations as the custom resources write them: `90s`, `30m`, `1h30m`."""

import re

_DURATION = re.compile(r"(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?\Z")


def parse_duration(text: str) -> float:
    """Seconds of a duration.

    Raises:
        ValueError: the text is not of that form.
    """
    match = _DURATION.match(text)
    if not text or match is None:
        raise ValueError(f"duration {text[:40]!r} is not of the form 1h30m, 30m or 90s")
    hours, minutes, seconds = (int(group or 0) for group in match.groups())
    return hours * 3600.0 + minutes * 60.0 + seconds
