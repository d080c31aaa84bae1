"""What the twin counted, and what shall go wrong in it: its `/_twin/`, asked from another process."""

import json
import ssl
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from localworld.errors import WorldError
from localworld.registries import Registries


class Control:
    """Asks the `/_twin/` of running registries."""

    def __init__(self, registries: Registries) -> None:
        self._address = f"https://{_https(registries)}/_twin/"
        context = ssl.create_default_context(cafile=str(registries.certificate_authority))
        handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
        self._opener = urllib.request.build_opener(*handlers)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request: JSON in, JSON out."""
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._address}{path}", content, method=method)  # noqa: S310 - it is https
        with self._opener.open(request, timeout=10) as answer:
            return json.load(answer)


class Ledger:
    """Reads the ledger of running registries: requests and bytes for each account, action and principal."""

    def __init__(self, registries: Registries) -> None:
        self._control = Control(registries)

    def rows(self) -> list[dict[str, Any]]:
        """Every row: account, region, action, principal, requests, refused, bytesIn, bytesOut."""
        rows: list[dict[str, Any]] = self._control.ask("GET", "ledger")
        return rows

    def requests(self, **where: str) -> "Counter[str]":
        """Requests by action, of the rows whose account, principal or action are as given."""
        counts: Counter[str] = Counter()
        for row in self.rows():
            if all(row[name] == value for name, value in where.items()):
                counts[row["action"]] += row["requests"]
        return counts


@contextmanager
def fault(registries: Registries, kind: str, **settings: Any) -> Iterator[None]:
    """Have something go wrong in running registries; twin/README.md has the kinds and their settings."""
    control = Control(registries)
    numbers = control.ask("POST", "faults", {"kind": kind, **settings})["ids"]
    try:
        yield
    finally:
        for number in numbers:
            control.ask("DELETE", f"faults/{number}")


def _https(registries: Registries) -> str:
    """Where the twin answers by address: it says so in the line it prints when it listens."""
    for child in registries.processes:
        for line in child.log.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
            if line.startswith("{") and line.endswith("\n") and "https" in (said := json.loads(line)):
                return str(said["https"])
    raise WorldError("The registries have not been started.")
