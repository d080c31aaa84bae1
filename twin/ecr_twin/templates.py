"""Repository creation templates, as rows (R1, facts §1)."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ecr_twin.names import Registry

_ROOT = "ROOT"


@dataclass(frozen=True, slots=True)
class Template:
    """One template; ``settings`` are the members of the model's structure as they were given."""

    prefix: str
    settings: Mapping[str, Any]
    created_at: float
    updated_at: float


class Templates:
    """The table of templates."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def find(self, registry: Registry, prefix: str) -> Template | None:
        """Look a template up by its prefix."""
        return next((item for item in self.all(registry) if item.prefix == prefix), None)

    def all(self, registry: Registry) -> list[Template]:
        """List a registry's templates."""
        rows = self._connection.execute(
            "SELECT * FROM templates WHERE account = ? AND region = ? ORDER BY prefix",
            (registry.account, registry.region),
        )
        return [Template(row["prefix"], json.loads(row["settings"]), row["created_at"], row["updated_at"])
                for row in rows]  # fmt: skip

    def put(self, registry: Registry, template: Template) -> None:
        """Create or replace a template."""
        settings = json.dumps(dict(template.settings))
        self._connection.execute(
            "INSERT OR REPLACE INTO templates (account, region, prefix, settings, created_at, updated_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (registry.account, registry.region, template.prefix, settings, template.created_at, template.updated_at),
        )

    def delete(self, registry: Registry, prefix: str) -> None:
        """Remove a template."""
        self._connection.execute(
            "DELETE FROM templates WHERE account = ? AND region = ? AND prefix = ?",
            (registry.account, registry.region, prefix),
        )

    def best(self, registry: Registry, name: str, purpose: str) -> Template | None:
        """Find the template for a new repository: the longest prefix, with its implied ``/``, else ROOT."""
        fitting = [item for item in self.all(registry) if purpose in item.settings["appliedFor"]]
        under = [item for item in fitting if name.startswith(item.prefix.rstrip("/") + "/")]
        roots = [item for item in fitting if item.prefix == _ROOT]
        return max(under, key=lambda item: len(item.prefix), default=next(iter(roots), None))
