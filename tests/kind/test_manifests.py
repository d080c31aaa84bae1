"""The files of hack/kind fit together: addresses, names, ports, trust."""

import ipaddress
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from charts.chart import CHART
from ecr_twin.names import parse_host
from kind import materials
from kind.materials import HERE
from localworld import accounts
from localworld.paths import REPOSITORY

SERVICES = list(yaml.safe_load_all((HERE / "registries" / "services.yaml").read_text()))
TWIN = yaml.safe_load((HERE / "registries" / "deployment.yaml").read_text())["spec"]["template"]["spec"]
VALUES = yaml.safe_load((HERE / "values.yaml").read_text())
OPTIONS = dict(option.removeprefix("--").split("=", 1) for option in TWIN["containers"][0]["args"])
APPLICATION = yaml.safe_load((HERE / "application.yaml").read_text())["spec"]


def addresses() -> dict[str, str]:
    """The address of each name."""
    return {name: address for address, name in (line.split() for line in materials.hosts())}


def test_every_name_that_aws_s_clients_use_leads_to_the_twin() -> None:
    faces = {name: parse_host(name) for name in addresses()}

    assert None not in faces.values()
    assert {face.account for face in faces.values() if face and face.face == "registry"} == {
        accounts.DEVELOPMENT,
        accounts.PRODUCTION,
    }
    assert {face.face for face in faces.values() if face} == {"registry", "api", "sts", "blobs"}


def test_a_name_leads_to_the_listener_that_answers_for_it() -> None:
    by_address = {each["spec"]["clusterIP"]: each["spec"]["ports"][0]["targetPort"] for each in SERVICES}
    for name, address in addresses().items():
        face = parse_host(name)
        assert face is not None
        assert by_address[address] == ("blobs" if face.face == "blobs" else "https"), name


def test_the_addresses_are_of_the_cluster_s_range() -> None:
    cluster = yaml.safe_load((HERE / "cluster.yaml").read_text())
    range_ = ipaddress.ip_network(cluster["networking"]["serviceSubnet"])

    assert all(ipaddress.ip_address(each["spec"]["clusterIP"]) in range_ for each in SERVICES)


def test_the_twin_listens_where_its_services_and_the_operator_s_policy_expect_it() -> None:
    ports = {each["name"]: each["containerPort"] for each in TWIN["containers"][0]["ports"]}

    assert ports == {"https": int(OPTIONS["https-port"]), "blobs": int(OPTIONS["blobs-port"])}
    assert set(ports.values()) <= set(VALUES["networkPolicy"]["egressPorts"])


def test_the_twin_s_image_begins_with_the_base_of_the_operator_s() -> None:
    pins = [
        re.search(r"^ARG BUILD_IMAGE=(\S+)$", file.read_text(), re.MULTILINE)
        for file in (REPOSITORY / "Dockerfile", REPOSITORY / "twin" / "Dockerfile")
    ]

    assert pins[0]
    assert pins[1]
    assert pins[0][1] == pins[1][1]


def test_the_twin_s_folder_has_all_that_its_image_copies(tmp_path: Path) -> None:
    registry = tmp_path / "a registry"
    registry.write_bytes(b"a program")
    materials.write_twin_context(tmp_path / "twin", registry)

    copied = re.findall(r"^COPY (\S+) ", (tmp_path / "twin" / "Dockerfile").read_text(), re.MULTILINE)
    assert [name for name in copied if not (tmp_path / "twin" / name).exists()] == []
    assert not list((tmp_path / "twin").rglob("__pycache__"))


def test_the_objects_that_values_name_are_made() -> None:
    made = {
        (each["kind"], each["metadata"]["name"]): {**each.get("data", {}), **each.get("stringData", {})}
        for each in materials.operator_objects(materials.make_authority())
    }

    trusted = made["ConfigMap", VALUES["ca"]["configMap"]]
    assert yaml.safe_load((CHART / "values.yaml").read_text())["ca"]["key"] in trusted
    for variable in VALUES["extraEnv"]:
        if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
            assert made["Secret", reference["name"]][reference["key"]]


def test_the_node_trusts_production_by_the_file_that_is_copied_to_it(tmp_path: Path) -> None:
    materials.write_trust(tmp_path, materials.make_authority())

    host = accounts.registry(accounts.PRODUCTION)
    trust = (tmp_path / host / "hosts.toml").read_text()
    (certificate,) = re.findall(r'ca = "(\S+)"', trust)
    assert (tmp_path / Path(certificate).relative_to(materials.TRUST_FOLDER)).is_file()
    assert f'server = "https://{host}"' in trust


def test_argo_cd_is_given_an_overlay_of_this_repository() -> None:
    assert (REPOSITORY / APPLICATION["source"]["path"] / "kustomization.yaml").is_file()
    assert APPLICATION["source"]["repoURL"].startswith("git://git.git.svc")
    assert APPLICATION["destination"]["namespace"] == "shop"


@pytest.mark.parametrize("file", sorted(HERE.rglob("*.yaml")), ids=lambda file: str(file.relative_to(HERE)))
def test_nothing_is_named_latest(file: Path) -> None:
    images = re.findall(r"image: (?:&\w+ )?([^\s*]\S*)", file.read_text())

    assert [image for image in images if not re.search(r":[^/]*\d|:kind$", image)] == []


def test_a_ca_is_made_anew_each_time_and_hides_its_key() -> None:
    one, other = materials.make_authority(), materials.make_authority()

    assert one.certificate != other.certificate
    assert one.key not in repr(one)


def test_what_goes_into_the_cluster_is_one_list() -> None:
    text: dict[str, Any] = yaml.safe_load(materials.as_text(materials.pull_secret("{}")))

    assert [each["type"] for each in text["items"]] == ["kubernetes.io/dockerconfigjson"]
