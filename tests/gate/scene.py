"""A scene in which the gate can be asked for."""

import json

from endtoend.scene import OURS, Resource, Scene
from endtoend.waiting import eventually
from localworld import paths
from localworld.apiserver import ApiError
from localworld.errors import WorldError

GATE = paths.REPOSITORY / "manifests" / "gate"
COMPONENT = GATE / "component"
LABEL = "transship.dev/gate"


class GatedScene(Scene):
    """One test's namespace, with the gate as its label says."""

    @property
    def list_path(self) -> str:
        """Where the list of the namespace is."""
        return f"{OURS}/namespaces/{self.namespace}/promotedimages/transship"

    def ask_for_gate(self, value: str | None = "enforce") -> None:
        """Label the namespace, and wait until its list is there (or gone, without a label)."""
        self.admin.patch(f"/api/v1/namespaces/{self.namespace}", {"metadata": {"labels": {LABEL: value}}})
        if value is None:
            eventually(lambda: self.find_list() is None, "the list is gone")
        else:
            eventually(lambda: self.find_list() is not None, "the list is there")

    def find_list(self) -> Resource | None:
        """The PromotedImages of the namespace."""
        try:
            return self.admin.get(self.list_path)
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    def listed(self) -> dict[str, str]:
        """The references that are listed, with their digests."""
        found = self.find_list()
        return dict(found["spec"]["references"]) if found is not None else {}

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl in the namespace."""
        return self.world.cluster.kubectl(f"--namespace={self.namespace}", *arguments, stdin=stdin)

    def refusal(self, resource: Resource) -> str:
        """What kubectl tells whoever creates an object; empty when it is let in."""
        try:
            self.kubectl("create", "-f=-", "--validate=false", stdin=json.dumps(resource))
        except WorldError as error:
            return str(error)
        return ""

    def refusal_of(self, *arguments: str) -> str:
        """What a kubectl command is told; empty when it succeeds."""
        try:
            self.kubectl(*arguments)
        except WorldError as error:
            return str(error)
        return ""
