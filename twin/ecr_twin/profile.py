"""The open questions ([?] in the facts), and both plausible answers to each, in one place.

A `Profile` answers all of them. `PROFILES` names complete profiles, so that a suite can be parametrised over them:
``default``; ``opposite``, which answers every question the other way; and ``only-<question>`` for each question, which
differs from ``default`` in that one answer and tells which answer a failure depends on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from ecr_twin.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Profile:
    """Answers to questions that only a real account settles; the first value named is the default.

    Attributes:
        expired_body: A3, fact 3; ``json`` or ``text`` body of the 403.
        token_outlives_session: A8; whether a token stays good after the STS session that minted it has ended.
        missing_repository_across_accounts: facts §10; ``denied`` (403, nothing can allow it) or ``not-found`` (404)
            when the caller's identity policy allows the action.
        registry_policy_allows: A5; whether an Allow of a registry policy V2 ``grants`` like a repository policy's, or
            ``never`` does (its Deny always counts).
        stale_principal_ids: R4; ``refuse`` or ``accept`` a policy that names a deleted principal by its AROA id.
        policy_lag_seconds: R5; how long calls are still decided by the policy before the newest one.
        create_on_push_needs: R1, facts §10; ``create-repository`` (ecr:CreateRepository on the pusher) or ``nothing``.
        tag_invalid_status: M4, fact 19; HTTP status of TAG_INVALID.
        same_digest_on_immutable_tag: M4, fact 19; ``refuse`` or ``accept`` a v2 re-push of the very same manifest.
        restore_seconds: M7; how long an image restored from the archive is ACTIVATING.
        subject_must_exist: F1; whether a manifest whose subject is absent is refused.
        referrers_over_http: F2, fact 21; ``whole`` list at once, or ``pages`` of 50 with a Link.
        referrers_in_china: fact 21; whether Regions of aws-cn have the referrers API.
        referrer_events: E1; a push of a referrer is told as a ``referrer`` action only, or as ``both`` kinds.
        blob_url_seconds: B1, fact 6; life of a download URL.
        blob_head: fact 29; HEAD of a blob is answered by the registry (``plain``) or by a ``redirect``.
        pull_needs_availability: facts §10; whether a download URL over v2 needs ecr:BatchCheckLayerAvailability too.
        kms_across_accounts: facts §6 and §10; another account's pull from a repository with a customer's KMS key is
            ``allowed``, or ``denied``.
        upload_seconds: fact 29; life of an upload session, 0 for no end.
        upload_delete: fact 29; DELETE of an upload is ``accepted`` (204) or ``unsupported`` (405).
        single_post: fact 29; POST with ``?digest=`` stores the blob (``accepted``), or just opens an upload
            (``ignored``).
        manifest_delete: DELETE of a manifest is ``accepted`` (202) or answered 404 ``page not found`` as it was seen
            in 2021 [F: roadmap#1229, closed since].
        throttle_against: Q1; the account whose bucket pays: the ``registry``'s, or the ``caller``'s.
        retry_after_seconds: Q1, fact 29; Retry-After of a v2 429, 0 for no such header.
        token_bucket: facts §3; GetAuthorizationToken has the ``quota`` page's 500/s, or the ``small`` bucket of the
            troubleshooting page: 200, refilled at 20/s.
    """

    expired_body: str = "json"
    token_outlives_session: bool = True
    missing_repository_across_accounts: str = "denied"
    registry_policy_allows: str = "grants"
    stale_principal_ids: str = "refuse"
    policy_lag_seconds: int = 0
    create_on_push_needs: str = "create-repository"
    tag_invalid_status: int = 400
    same_digest_on_immutable_tag: str = "refuse"
    restore_seconds: int = 0
    subject_must_exist: bool = False
    referrers_over_http: str = "whole"
    referrers_in_china: bool = True
    referrer_events: str = "referrer"
    blob_url_seconds: int = 3599
    blob_head: str = "plain"
    pull_needs_availability: bool = False
    kms_across_accounts: str = "allowed"
    upload_seconds: int = 0
    upload_delete: str = "accepted"
    single_post: str = "accepted"
    manifest_delete: str = "accepted"
    throttle_against: str = "registry"
    retry_after_seconds: int = 0
    token_bucket: str = "quota"  # noqa: S105 - the name of a rate


#: The other plausible answer to every question; for words it is also the only other one allowed.
OTHER: Mapping[str, Any] = {
    "expired_body": "text",
    "token_outlives_session": False,
    "missing_repository_across_accounts": "not-found",
    "registry_policy_allows": "never",
    "stale_principal_ids": "accept",
    "policy_lag_seconds": 2,
    "create_on_push_needs": "nothing",
    "tag_invalid_status": 409,
    "same_digest_on_immutable_tag": "accept",
    "restore_seconds": 600,
    "subject_must_exist": True,
    "referrers_over_http": "pages",
    "referrers_in_china": False,
    "referrer_events": "both",
    "blob_url_seconds": 60,
    "blob_head": "redirect",
    "pull_needs_availability": True,
    "kms_across_accounts": "denied",
    "upload_seconds": 3600,
    "upload_delete": "unsupported",
    "single_post": "ignored",
    "manifest_delete": "not-found",
    "throttle_against": "caller",
    "retry_after_seconds": 1,
    "token_bucket": "small",
}

DEFAULT = Profile()
PROFILES: Mapping[str, Profile] = {
    "default": DEFAULT,
    "opposite": replace(DEFAULT, **OTHER),
    **{f"only-{name.replace('_', '-')}": replace(DEFAULT, **{name: value}) for name, value in OTHER.items()},
}


def spelling(name: str) -> str:
    """Give the configuration's spelling of a question: ``expired_body`` is ``expiredBody`` there."""
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


def read(source: Any, where: str = "profile of the configuration") -> Profile:
    """Read a profile: the name of one, or a mapping of answers, with ``name`` for the one it departs from.

    Raises:
        ConfigError: naming the question and the answers that exist.
    """
    given = dict(source) if isinstance(source, Mapping) else {"name": source}
    name = given.pop("name", "default")
    if name not in PROFILES:
        raise ConfigError(f"There is no profile {name!r}; there are {', '.join(PROFILES)}.")
    questions = {spelling(item.name): item.name for item in fields(Profile)}
    for key in given:
        if key not in questions:
            raise ConfigError(f"{key} is not a setting of {where}.")
    answers = {questions[key]: _answer(questions[key], value) for key, value in given.items()}
    return replace(PROFILES[name], **answers)


def _answer(name: str, value: Any) -> Any:
    default = getattr(DEFAULT, name)
    if type(value) is not type(default):
        raise ConfigError(f"{spelling(name)} of the profile must be of type {type(default).__name__}, not {value!r}.")
    if isinstance(value, str) and value not in {default, OTHER[name]}:
        raise ConfigError(f"{spelling(name)} of the profile must be one of {default}, {OTHER[name]}, not {value!r}.")
    return value
