"""Who is who in the local world's AWS accounts; `accounts.yaml` has their rights."""

from dataclasses import dataclass, field
from pathlib import Path

import yaml

ACCOUNTS_FILE = Path(__file__).with_name("accounts.yaml")
REGION = "eu-west-1"
DEVELOPMENT = "111111111111"
PRODUCTION = "222222222222"


@dataclass(frozen=True)
class Identity:
    """An IAM user of the twin with an access key."""

    account: str
    name: str
    access_key_id: str
    secret_access_key: str = field(repr=False)

    @property
    def registry(self) -> str:
        """The registry of its account."""
        return registry(self.account)

    def environment(self) -> dict[str, str]:
        """The variables that every AWS client reads credentials and Region from."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_REGION": REGION,
        }


def registry(account: str) -> str:
    """The host name of an account's registry, as AWS forms it."""
    return f"{account}.dkr.ecr.{REGION}.amazonaws.com"


def canary(path: Path = ACCOUNTS_FILE) -> str:
    """The word that is part of every secret the twin hands out (`ecr_twin.canary`)."""
    return str(yaml.safe_load(path.read_text(encoding="utf-8"))["canary"])


def identities(path: Path = ACCOUNTS_FILE) -> dict[str, Identity]:
    """All users, by name."""
    accounts = yaml.safe_load(path.read_text(encoding="utf-8"))["accounts"]
    return {
        user["name"]: Identity(account, user["name"], user["accessKeyId"], user["secretAccessKey"])
        for account, content in accounts.items()
        for user in content.get("users", [])
    }
