"""``/_twin/``: what a test of a twin in another process asks and changes; answered on loopback only.

GET    /_twin/ledger            counts of requests and bytes
DELETE /_twin/ledger            count from zero
GET    /_twin/faults            {"faults": [...], "happened": [...]}
POST   /_twin/faults            add one fault, or a list; gives {"ids": [...]}
DELETE /_twin/faults[/<id>]     remove one, or all
GET    /_twin/events            the events that arrived
POST   /_twin/purge             {"account", "region", "repository"}: remove the layers no image uses (B7)
DELETE /_twin/roles/<arn>       delete a role; policies then show its AROA id (R4)
"""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from aiohttp import web

from ecr_twin.errors import ConfigError, Refusal
from ecr_twin.faults import read
from ecr_twin.names import Registry
from ecr_twin.services import Services

PREFIX = "/_twin/"
_Handler = Callable[[str, Any], Any]


class Control:
    """Answers ``/_twin/``."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._handlers: dict[tuple[str, str], _Handler] = {
            ("GET", "ledger"): lambda _name, _body: services.ledger.rows(),
            ("DELETE", "ledger"): self._reset_ledger,
            ("GET", "faults"): self._faults,
            ("POST", "faults"): self._add_faults,
            ("DELETE", "faults"): self._remove_faults,
            ("GET", "events"): self._events,
            ("POST", "purge"): self._purge,
            ("DELETE", "roles"): self._delete_role,
        }

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        kind, _, name = request.path.removeprefix(PREFIX).partition("/")
        handler = self._handlers.get((request.method, kind))
        if handler is None:
            return web.json_response({"error": f"There is no {request.method} {request.path}."}, status=404)
        try:
            body = json.loads(await request.read() or b"null")
            return web.json_response(handler(name, body))
        except (ConfigError, Refusal, KeyError, TypeError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=HTTPStatus.BAD_REQUEST)

    def _reset_ledger(self, _name: str, _body: Any) -> dict[str, Any]:
        self._services.ledger.reset()
        return {}

    def _faults(self, _name: str, _body: Any) -> dict[str, Any]:
        return {"faults": self._services.faults.rows(), "happened": self._services.faults.happened()}

    def _add_faults(self, _name: str, body: Any) -> dict[str, Any]:
        # All of them are read before the first is added: a mistake in one adds none.
        wanted = [read(item) for item in (body if isinstance(body, list) else [body])]
        return {"ids": [self._services.faults.add(fault) for fault in wanted]}

    def _remove_faults(self, name: str, _body: Any) -> dict[str, Any]:
        if not name:
            self._services.faults.clear()
        elif not self._services.faults.remove(int(name)):
            raise ConfigError(f"There is no fault {name}.")
        return {}

    def _events(self, _name: str, _body: Any) -> list[Any]:
        return list(self._services.events.arrived())

    def _purge(self, _name: str, body: Any) -> dict[str, Any]:
        registry = Registry(body["account"], body["region"])
        return {"removed": purge(self._services, registry, body["repository"])}

    def _delete_role(self, name: str, _body: Any) -> dict[str, Any]:
        return {"id": delete_role(self._services, name)}


def purge(services: Services, registry: Registry, name: str) -> int:
    """Remove the layers of a repository that no image uses (B7, fact 26); gives how many."""
    return services.layers.purge(services.repositories.get(registry, name))


def delete_role(services: Services, arn: str) -> str:
    """Delete a role: its sessions end, and policies that named it show its unique id from now on (R4, facts §5).

    Raises:
        ConfigError: when there is no such role.
    """
    unique = services.directory.delete_role(arn)
    if unique is None:
        raise ConfigError(f"There is no role {arn}.")
    services.repositories.rename_principal(arn, unique)
    return unique
