"""What the admission webhook reads and writes: rules, the Secret of its certificate, and its configuration."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from transship.cluster.api import Api, Conflict, NotFound
from transship.errors import NeedsHuman, Reason, RetryLater
from transship.promotion.admission import ENABLED, NAMESPACE_LABEL
from transship.promotion.request import API_VERSION

_ATTEMPTS = 5
_CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"


class Webhook:
    """Implements `admission.ports.Rules` and `CertificateStore`. Errors are those of `Api` unless said otherwise.

    Args:
        api: the API server.
        namespace: where the Secret is.
        secret: its name.
        configuration: name of the MutatingWebhookConfiguration.
        namespaces: the only ones whose pods may wait; all when there are none.
    """

    def __init__(
        self, api: Api, namespace: str, secret: str, configuration: str, namespaces: Sequence[str] = ()
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._secret = secret
        self._configuration = f"{_CONFIGURATIONS}/{configuration}"
        self._namespaces = tuple(namespaces)

    def policies(self) -> list[dict[str, Any]]:
        """All PromotionPolicies, as the API server remembers them."""
        return list(self._api.get(f"/apis/{API_VERSION}/promotionpolicies", {"resourceVersion": "0"})["items"])

    def namespaces(self, name: str | None = None) -> list[dict[str, Any]]:
        """All namespaces whose pods may wait, or the one of that name if it exists."""
        if self._namespaces:
            names = [each for each in self._namespaces if name in {None, each}]
            return [found for each in names if (found := self._named(each)) is not None]
        if name is None:
            query = {"labelSelector": f"{NAMESPACE_LABEL}={ENABLED}", "resourceVersion": "0"}
        else:
            query = {"fieldSelector": f"metadata.name={name}"}
        return list(self._api.get("/api/v1/namespaces", query)["items"])

    def _named(self, name: str) -> dict[str, Any] | None:
        """A namespace; None when it is not there, or has no Role of ours: its pods start as without us."""
        try:
            return self._api.get(f"/api/v1/namespaces/{name}")
        except NotFound:
            return None
        except NeedsHuman as error:
            if error.reason is Reason.DENIED:
                return None
            raise

    def secret(self) -> dict[str, Any] | None:
        """See `CertificateStore`."""
        try:
            return self._api.get(f"{self._secrets}/{self._secret}")
        except NotFound:
            return None

    def write_secret(self, secret: Mapping[str, Any]) -> dict[str, Any] | None:
        """See `CertificateStore`."""
        try:
            if "resourceVersion" in secret.get("metadata", {}):
                return self._api.replace(f"{self._secrets}/{self._secret}", secret)
            whole = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": self._secret}, **secret}
            return self._api.create(self._secrets, whole)
        except Conflict:
            return None
        except NotFound as error:
            raise NeedsHuman(
                Reason.INVALID_REQUEST,
                f"namespace {self._namespace} does not exist or is being deleted; set TRANSSHIP_NAMESPACE to our own",
            ) from error

    def trust(self, bundle: bytes) -> bool:
        """See `CertificateStore`."""
        wanted = base64.b64encode(bundle).decode()
        for _ in range(_ATTEMPTS):
            try:
                found = self._api.get(self._configuration)
                patch = _trust(found, wanted)
                if patch:
                    self._api.patch(self._configuration, patch)
            except NotFound:
                return False
            except Conflict:
                continue
            return True
        raise RetryLater(Reason.UNREACHABLE, "somebody else keeps writing the webhook configuration")

    @property
    def _secrets(self) -> str:
        return f"/api/v1/namespaces/{self._namespace}/secrets"


def _trust(configuration: Mapping[str, Any], bundle: str) -> list[dict[str, Any]]:
    """The patch by which all webhooks of a configuration trust a bundle; empty when they do."""
    patch: list[dict[str, Any]] = [
        {"op": "add", "path": f"/webhooks/{number}/clientConfig/caBundle", "value": bundle}
        for number, each in enumerate(configuration.get("webhooks", []))
        if each["clientConfig"].get("caBundle") != bundle
    ]
    # Webhooks are named by their place: it must be the list that was read.
    version = configuration["metadata"]["resourceVersion"]
    test = {"op": "test", "path": "/metadata/resourceVersion", "value": version}
    return [test, *patch] if patch else []
