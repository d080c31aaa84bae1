"""What the twin counted: requests and bytes for each account, action and principal."""

import json
import ssl
import urllib.request
from collections import Counter
from typing import Any

from localworld.errors import WorldError
from localworld.registries import Registries


class Ledger:
    """Reads the ledger of running registries."""

    def __init__(self, registries: Registries) -> None:
        self._address = f"https://{_https(registries)}/_twin/ledger"
        context = ssl.create_default_context(cafile=str(registries.certificate_authority))
        handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
        self._opener = urllib.request.build_opener(*handlers)

    def rows(self) -> list[dict[str, Any]]:
        """Every row: account, region, action, principal, requests, refused, bytesIn, bytesOut."""
        with self._opener.open(self._address, timeout=10) as answer:
            rows: list[dict[str, Any]] = json.load(answer)
        return rows

    def requests(self, **where: str) -> "Counter[str]":
        """Requests by action, of the rows whose account, principal or action are as given."""
        counts: Counter[str] = Counter()
        for row in self.rows():
            if all(row[name] == value for name, value in where.items()):
                counts[row["action"]] += row["requests"]
        return counts


def _https(registries: Registries) -> str:
    """Where the twin answers by address: it says so in the line it prints when it listens."""
    for child in registries.processes:
        for line in child.log.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
            if line.startswith("{") and line.endswith("\n") and "https" in (said := json.loads(line)):
                return str(said["https"])
    raise WorldError("The registries have not been started.")
