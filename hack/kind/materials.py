"""What cannot be a file of the repository: a certificate authority, and the objects and files that hold secrets.

All of it is made anew for each cluster and means nothing outside of it.
"""

import datetime as dt
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from localworld import accounts, paths

HERE = Path(__file__).parent
LIFETIME = dt.timedelta(days=30)
CLOCK_SKEW = dt.timedelta(hours=1)
TRUST_FOLDER = "/etc/containerd/certs.d"
_ENTRY = re.compile(r"^ +(\d+\.\d+\.\d+\.\d+ \S+)$", re.MULTILINE)
Resource = dict[str, Any]


@dataclass(frozen=True)
class Authority:
    """The CA of the twin, as PEM."""

    certificate: str
    key: str = field(repr=False)


def make_authority() -> Authority:
    """A new CA, of the kind that the twin reads."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ecr-twin of a kind cluster")])
    now = dt.datetime.now(dt.UTC)
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Authority(certificate.public_bytes(pem).decode(), private.decode())


def twin_secret(authority: Authority) -> Resource:
    """What the twin reads: accounts and CA."""
    files = {
        "accounts.yaml": accounts.ACCOUNTS_FILE.read_text(encoding="utf-8"),
        "tls.crt": authority.certificate,
        "tls.key": authority.key,
    }
    return _object("Secret", "ecr-twin", "ecr-twin") | {"stringData": files}


def operator_objects(authority: Authority) -> list[Resource]:
    """What `values.yaml` names: whom the operator trusts, and who it is at AWS."""
    user = accounts.identities()["transship-controller"]
    keys = {"AWS_ACCESS_KEY_ID": user.access_key_id, "AWS_SECRET_ACCESS_KEY": user.secret_access_key}
    return [
        _object("ConfigMap", "ecr-twin-ca", "transship-system") | {"data": {"ca.crt": authority.certificate}},
        _object("Secret", "aws-user", "transship-system") | {"stringData": keys},
    ]


def pull_secret(docker_config: str) -> Resource:
    """What the pods of the sample application pull with, as `shop.yaml` names it."""
    content = {"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": docker_config}}
    return _object("Secret", "production-registry", "shop") | content


def hosts() -> list[str]:
    """The addresses and names of `coredns.yaml`, as lines of a hosts file: the node does not ask the cluster's DNS."""
    corefile = yaml.safe_load((HERE / "coredns.yaml").read_text(encoding="utf-8"))["data"]["Corefile"]
    return _ENTRY.findall(corefile)


def trust() -> Mapping[str, str]:
    """What containerd has to be told of production's registry, by the path below its folder; the CA comes beside it."""
    host = accounts.registry(accounts.PRODUCTION)
    url = f"https://{host}"
    return {f"{host}/hosts.toml": f'server = "{url}"\n\n[host."{url}"]\n  ca = "{TRUST_FOLDER}/{host}/ca.crt"\n'}


def write_trust(folder: Path, authority: Authority) -> None:
    """Write what is copied to the node."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in trust().items():
        file = folder / name
        file.parent.mkdir(parents=True)
        file.write_text(content, encoding="utf-8")
        (file.parent / "ca.crt").write_text(authority.certificate, encoding="utf-8")


def write_twin_context(folder: Path, registry: Path) -> None:
    """Write what `twin/Dockerfile` copies: the twin, its locked requirements, and the registry behind it."""
    shutil.rmtree(folder, ignore_errors=True)
    twin = paths.REPOSITORY / "twin"
    shutil.copytree(twin / "ecr_twin", folder / "ecr_twin", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(twin / "Dockerfile", folder / "Dockerfile")
    shutil.copyfile(paths.REPOSITORY / "requirements" / "twin.txt", folder / "requirements.txt")
    shutil.copy(registry, folder / "registry")


def as_text(*resources: Resource) -> str:
    """What `kubectl apply --filename=-` reads."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(resources)})


def _object(kind: str, name: str, namespace: str) -> Resource:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}}
