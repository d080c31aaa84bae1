"""The one exception of the local world."""


class WorldError(Exception):
    """Something could not be built, started or reached; the message is a sentence that says what to do."""
