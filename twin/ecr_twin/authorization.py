"""The decision: identity policies and the resource's policy together.

A5 (facts §5, [D:repository-policies]): across accounts both sides must allow, within one account either suffices, an
explicit Deny anywhere wins. A7 (fact 4): a denial names principal, action, resource, and which policy lacked it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ecr_twin.policy import Document, Request, Verdict
from ecr_twin.principals import Principal


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal with the identity policies attached to it, and the access key it came with."""

    principal: Principal
    policies: tuple[Document, ...]
    access_key_id: str
    #: A session policy: nothing is allowed that it does not allow too [D: STS AssumeRole].
    session_policy: Document | None = None
    #: Condition keys that come with the caller and its connection, lower case.
    context: Mapping[str, str] = field(default_factory=dict)
    #: Session tags that go along into every role that is assumed from here [D: IAM id_session-tags].
    transitive_tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Question:
    """May this caller do this?

    Attributes:
        caller: who asks.
        action: IAM spelling, for example ``ecr:BatchGetImage``.
        resource: ARN, or ``*`` for actions without a resource (A9: ecr:GetAuthorizationToken).
        owner: the account that owns the resource.
        policy: the policy on the resource, None when there is none.
        registry_policy: the registry's policy, when it decides this call (A5: REGISTRY_POLICY_SCOPE is V2).
        registry_policy_grants: whether its Allow counts like the resource policy's ([?]); its Deny always counts.
        context: further condition keys of the request, lower case.
    """

    caller: Caller
    action: str
    resource: str
    owner: str
    policy: Document | None = None
    registry_policy: Document | None = None
    registry_policy_grants: bool = True
    context: Mapping[str, str] = field(default_factory=dict)


def denial(question: Question) -> str | None:
    """Give the reason why the answer is no, as AWS words it; None when it is yes."""
    principal = question.caller.principal
    context = {**question.caller.context, **question.context}
    request = Request(principal, question.action, question.resource, context)
    identity = _strongest(document.verdict(request) for document in question.caller.policies)
    resource = question.policy.verdict(request) if question.policy else Verdict.SILENT
    registry = question.registry_policy.verdict(request) if question.registry_policy else Verdict.SILENT
    if registry is Verdict.DENY or question.registry_policy_grants:
        resource = _strongest((resource, registry))
    reason = _reason(identity, resource, same_account=principal.account == question.owner)
    session = question.caller.session_policy
    if reason is None and session is not None and session.verdict(request) is not Verdict.ALLOW:
        explicit = session.verdict(request) is Verdict.DENY
        reason = (
            "with an explicit deny in a session policy"
            if explicit
            else "because no session policy allows the {action} action"
        )
    if reason is None:
        return None
    return (
        f"User: {principal.arn} is not authorized to perform: {question.action} on resource: {question.resource} "
        + reason.format(action=question.action)
    )


def _strongest(verdicts: Iterable[Verdict]) -> Verdict:
    said = set(verdicts)
    order = (Verdict.DENY, Verdict.ALLOW, Verdict.DELEGATE)
    return next((verdict for verdict in order if verdict in said), Verdict.SILENT)


def _reason(identity: Verdict, resource: Verdict, *, same_account: bool) -> str | None:
    if identity is Verdict.DENY:
        return "with an explicit deny in an identity-based policy"
    if resource is Verdict.DENY:
        return "with an explicit deny in a resource-based policy"
    allowed = identity is Verdict.ALLOW
    # Naming the account hands the decision to its identity policies; naming the principal is itself the grant.
    if same_account:
        granted = allowed or resource is Verdict.ALLOW
    else:
        granted = allowed and resource in {Verdict.ALLOW, Verdict.DELEGATE}
    if granted:
        return None
    if allowed:
        return "because no resource-based policy allows the {action} action"
    return "because no identity-based policy allows the {action} action"
