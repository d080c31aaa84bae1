"""Which access keys exist, and whom they stand for: configured users, and sessions that STS handed out."""

import json
import secrets
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ecr_twin import policy, principals
from ecr_twin.authorization import Caller
from ecr_twin.config import Config, Role

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Credential:
    """What a signature is checked with. ``expires_at`` is None for long-lived keys."""

    caller: Caller
    secret: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """What a session is opened with.

    Attributes:
        policy: text of a session policy.
        transitive: keys of those tags that go along into every role that is assumed from the session.
    """

    name: str
    seconds: int
    policy: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    transitive: frozenset[str] = frozenset()


class Directory:
    """Users, roles and sessions of all accounts."""

    def __init__(self, config: Config, connection: sqlite3.Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._started_at = clock()
        self._canary = config.canary
        self.providers = {item.arn: item for account in config.accounts.values() for item in account.providers}
        self.confined = frozenset(account.id for account in config.accounts.values() if account.confined)
        self._organizations = {account.id: account.organization for account in config.accounts.values()}
        self.roles: dict[str, Role] = {role.arn: role for account in config.accounts.values() for role in account.roles}
        self._users = {
            user.access_key_id: Credential(
                Caller(
                    principals.user(user.account, user.partition, user.name, self._organizations[user.account]),
                    user.policies,
                    user.access_key_id,
                ),
                user.secret_access_key,
            )
            for account in config.accounts.values()
            for user in account.users
        }

    def credential(self, access_key_id: str) -> Credential | None:
        """Look an access key up, expired or not."""
        if access_key_id in self._users:
            return self._users[access_key_id]
        row = self._connection.execute("SELECT * FROM sessions WHERE access_key_id = ?", (access_key_id,)).fetchone()
        role = self.roles.get(row["role_arn"]) if row else None
        if role is None:
            return None
        principal = principals.session(role.arn, row["session_name"], self._organizations[role.account])
        text, tags = row["policy"], json.loads(row["tags"])
        caller = Caller(
            principal,
            role.policies,
            access_key_id,
            session_policy=policy.parse(text, "identity") if text else None,
            context={f"aws:principaltag/{key.lower()}": value for key, value in tags.items()},
            transitive_tags={key: tags[key] for key in json.loads(row["transitive_tags"])},
        )
        return Credential(caller, row["secret"], row["session_token"], row["expires_at"])

    def open_session(self, role: Role, session: Session) -> Credential:
        """Hand out temporary credentials for a role."""
        access_key_id = "ASIA" + secrets.token_hex(8).upper()
        self._connection.execute(
            "INSERT INTO sessions (access_key_id, secret, session_token, role_arn, session_name, expires_at, policy,"
            " tags, transitive_tags) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                access_key_id, self._secret(30), self._secret(240), role.arn, session.name,
                self._clock() + session.seconds, session.policy, json.dumps(dict(session.tags)),
                json.dumps(sorted(session.transitive)),
            ),
        )  # fmt: skip
        credential = self.credential(access_key_id)
        if credential is None:
            raise AssertionError(access_key_id)
        return credential

    def _secret(self, size: int) -> str:
        return self._canary + secrets.token_urlsafe(size)

    def exists(self, name: str) -> bool:
        """Tell whether an account id, or the ARN of a user, a role or a role's session, is known (R4).

        A role that is young is not known yet: IAM has it, and the services that ask IAM do not (facts §5).
        """
        named = self.roles.get(name)
        if named is not None and self._clock() < self._started_at + named.known_after_seconds:
            return False
        arns = {credential.caller.principal.arn for credential in self._users.values()}
        if name in self._organizations or name in self.roles or name in arns:
            return True
        _, _, resource = name.partition(":assumed-role/")
        account, role = name.split(":")[4:5], resource.partition("/")[0]
        return bool(role) and any((item.account, item.name) == (account[0], role) for item in self.roles.values())

    def put_role(self, role: Role) -> None:
        """Add a role, or give one that exists another trust policy and other policies; its sessions go on."""
        self.roles[role.arn] = role

    def delete_role(self, arn: str) -> str | None:
        """Forget a role with its sessions; gives the unique id by which policies go on naming it (R4, facts §5)."""
        role = self.roles.pop(arn, None)
        return principals.role_id(role.name) if role else None
