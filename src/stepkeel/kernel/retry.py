"""Is a failed attempt tried again, and when?

| kind of failure | retried | by which policy |
|---|---|---|
| business (Fail) | only if its code stands in retry_on and not in give_up_on | the activity's |
| permanent (PermanentError, bad result) | never | - |
| transient, again (TryAgain) | unless in give_up_on | the activity's, else the engine's default |
| technical (any other exception, timeout) | unless in give_up_on; if retry_on is empty or names it | the activity's, else never |

No retry begins behind the deadline, which counts from the first attempt of the node.
"""

from __future__ import annotations

from stepkeel.ids import fraction
from stepkeel.model.policy import DEFAULT_RETRY, Retry
from stepkeel.model.snapshot import Failure

__all__ = ["delay_of", "policy_for"]


def policy_for(policy: Retry | None, failure: Failure) -> Retry | None:
    """The policy that tries this failure again, or None when it is final."""
    code, types = failure.code, failure.types
    if failure.kind == "permanent":
        return None
    if policy is None:
        return DEFAULT_RETRY if failure.kind in ("transient", "again") else None
    if policy.unwanted.names(code, types):
        return None
    if failure.kind == "business":
        return policy if policy.wanted.names(code, ()) else None
    if failure.kind == "technical" and not policy.wanted.empty and not policy.wanted.names(code, types):
        return None
    return policy


def delay_of(policy: Retry, attempt: int, seed: int) -> int:
    """Microseconds between the end of the n-th attempt and the next."""
    if policy.backoff == "none" or not policy.delay_micros:
        return 0
    delay = float(policy.delay_micros)
    if policy.backoff == "exponential":
        # 2 ** 1024 is no float any more; the bound (or a century) is reached long before.
        delay = min(delay * policy.factor ** min(attempt - 1, 200), 3.2e15)
    if policy.max_delay_micros is not None:
        delay = min(delay, policy.max_delay_micros)
    if policy.jitter:
        delay *= 1 + policy.jitter * (2 * fraction(seed) - 1)
    return max(0, round(delay))
