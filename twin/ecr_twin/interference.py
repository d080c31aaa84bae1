"""What others do to the registry between two calls of a client (X6, X8), and reads that miss a write (X7).

A foreign writer is nobody's principal: no policy stops it, and it is not counted.
"""

import json
from collections.abc import Mapping
from typing import Any

from ecr_twin.faults import Fault
from ecr_twin.history import READS
from ecr_twin.repositories import Repository
from ecr_twin.services import Call, Services


def before(services: Services, call: Call, operation: str, params: Mapping[str, Any]) -> Services:
    """Do what happens just before an action; gives the services the action sees, which may be those of the past."""
    seconds = services.faults.staleness()
    if seconds and operation not in READS:
        services.history.remember(services.clock())
    _strike(services, call, operation, params, "before")
    if operation not in READS:
        return services
    past = services.history.as_of(services.clock() - services.faults.staleness(operation))
    return services.over(past) if past is not None and services.faults.staleness(operation) else services


def after(services: Services, call: Call, operation: str, params: Mapping[str, Any]) -> None:
    """Do what happens just after an action that succeeded."""
    _strike(services, call, operation, params, "after")


def _strike(services: Services, call: Call, operation: str, params: Mapping[str, Any], when: str) -> None:
    name = params.get("repositoryName") or ""
    for strike in services.faults.strike("action", when, f"{call.registry.host}/{name}", operation):
        fault = strike.fault
        if fault.kind == "vanish":
            services.layers.forget(params.get("uploadId", ""))
        else:
            if services.faults.staleness():
                services.history.remember(services.clock())
            write(services, call, fault, name)


def write(services: Services, call: Call, fault: Fault, name: str) -> None:
    """Do one foreign write (X8)."""
    wanted = fault.repository or name
    repository = services.repositories.find(call.registry, wanted)
    if fault.write == "create-repository":
        if repository is None:
            services.repositories.create(Repository(0, call.registry, wanted, services.clock()))
    elif repository is not None:
        _WRITES[fault.write](services, repository, fault)


def _move_tag(services: Services, repository: Repository, fault: Fault) -> None:
    current = services.images.resolve(repository, fault.tag)
    others = (image.digest for image in services.images.all(repository) if image.digest != current)
    target = fault.digest or next(others, None)
    if target is not None:
        services.images.tag(repository, fault.tag, target)


def _delete_tag(services: Services, repository: Repository, fault: Fault) -> None:
    services.images.untag(repository, fault.tag)


def _edit_policy(services: Services, repository: Repository, fault: Fault) -> None:
    text = json.dumps(fault.policy) if fault.policy is not None else None
    services.repositories.set_policy(repository, text, services.clock(), services.profile.policy_lag_seconds)


def _delete_repository(services: Services, repository: Repository, _fault: Fault) -> None:
    services.repositories.delete(repository)


def _delete_image(services: Services, repository: Repository, fault: Fault) -> None:
    digest = fault.digest or services.images.resolve(repository, fault.tag) or ""
    services.images.delete(repository, digest)


def _purge_layers(services: Services, repository: Repository, _fault: Fault) -> None:
    services.layers.purge(repository)


_WRITES = {
    "move-tag": _move_tag,
    "delete-tag": _delete_tag,
    "edit-policy": _edit_policy,
    "delete-repository": _delete_repository,
    "delete-image": _delete_image,
    "purge-layers": _purge_layers,
}
