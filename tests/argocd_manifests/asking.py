"""Argo CD's own command line, offline: what it makes of our health check, our notifications and our links."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

Resource = dict[str, Any]
SECONDS = 60
# The tools for notifications want a cluster to belong to, and never ask it here.
KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "none", "cluster": {"server": "https://127.0.0.1:9"}}],
    "users": [{"name": "none", "user": {"token": "none"}}],
    "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none", "namespace": "argocd"}}],
    "current-context": "none",
}


class ArgoCommand:
    """`argocd admin`, with a home directory of its own."""

    def __init__(self, binary: Path, directory: Path) -> None:
        self._binary = binary
        self._directory = directory
        self._write("kubeconfig", KUBECONFIG)

    def health(self, resource: Resource, config_map: Resource) -> tuple[str, str]:
        """The health of a resource, and its message, by an argocd-cm."""
        settings = self._write("argocd-cm.json", config_map)
        said = self._run(
            "settings",
            "resource-overrides",
            "health",
            str(self._write("resource.json", resource)),
            f"--argocd-cm-path={settings}",
            "--load-cluster-settings=false",
        )
        found = re.fullmatch(r"STATUS: (\w+)\nMESSAGE: (.*)\n", said, re.DOTALL)
        assert found, said
        return found[1], found[2]

    def triggered(self, trigger: str, application: Resource, config_map: Resource) -> bool:
        """Whether a trigger sends its notification."""
        said = self._notifications("trigger", "run", trigger, application, config_map)
        return said.rstrip().endswith(" true")

    def notification(self, template: str, application: Resource, config_map: Resource) -> Resource:
        """What a template says."""
        said = self._notifications("template", "notify", template, application, config_map)
        return dict(yaml.safe_load(said))

    def _notifications(self, group: str, verb: str, name: str, application: Resource, config_map: Resource) -> str:
        path = self._write("notifications.json", config_map)
        resource = self._write("application.json", application)
        return self._run("notifications", group, verb, name, str(resource), f"--config-map={path}", "--secret=:empty")

    def _write(self, name: str, content: Resource) -> Path:
        path = self._directory / name
        path.write_text(json.dumps(content))
        return path

    def _run(self, *arguments: str) -> str:
        environment = {
            "ARGOCD_BINARY_NAME": "argocd",
            "HOME": str(self._directory),
            "KUBECONFIG": str(self._directory / "kubeconfig"),
            "PATH": os.environ["PATH"],
        }
        command = [str(self._binary), "admin", *arguments]
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
            stdin=subprocess.DEVNULL,
        )
        # It reports some failures on its standard error and exits with success.
        assert done.returncode == 0 and "failed" not in done.stderr, done.stderr  # noqa: PT018 - one thing: it worked
        return done.stdout
