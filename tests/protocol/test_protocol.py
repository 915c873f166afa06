"""What storage and workers do among themselves, as small models whose every state is visited; and each rule is needed."""

from __future__ import annotations

import pytest

from tests.protocol.model import RULES, Protocol, State, explore
from tests.protocol.pools import POOL_RULES, Granting, explore_pools

# Without the rule: the promise that is broken first.
NEEDED = {
    "fence_epoch": "residency",
    "fence_revision": "base",
    "epoch_grows": "residency",
    "park_compares_inbox": "orphan",
    "seen_is_read_first": "stuck",
    "signal_wakes": "orphan",
    "take_over_the_dead": "stuck",
    "reconcile": "stuck",
    "read_back": "undurable",
    "trust_ends_first": "stuck",
    "keys": "doubled",
}
NEEDED_POOLS = {
    "asks_with_the_step": "stuck",
    "returns_with_the_step": "stuck",
    "counts_behind_the_lock": "too_many",
    "grants_and_tells_at_once": "stuck",
    "only_what_still_waits": "stuck",
    "a_crash_keeps_the_slot": "too_many",
}


@pytest.mark.parametrize("never", ["crashes", "stalls", "losses"])
def test_no_state_strands_an_instance_or_doubles_a_commit(never: str) -> None:
    """Each two kinds of fault together; all three in `make soak`."""
    found = explore(Protocol(), State()._replace(**{never: 0}))
    assert not found.promise, (found.promise, found.way)
    assert found.states > 30_000


@pytest.mark.soak
def test_no_state_of_a_crash_a_stall_and_a_loss_strands_an_instance_or_doubles_a_commit() -> None:
    found = explore(Protocol())
    assert not found.promise, (found.promise, found.way)
    assert found.states > 600_000


@pytest.mark.parametrize("rule", RULES)
def test_without_any_one_of_the_rules_a_promise_breaks(rule: str) -> None:
    assert explore(Protocol(rule)).promise == NEEDED[rule]


def test_no_state_gives_a_slot_twice_loses_one_or_leaves_a_ticket_behind() -> None:
    found = explore_pools(Granting())
    assert not found.promise, (found.promise, found.way)
    assert found.states > 1_000


@pytest.mark.parametrize("rule", POOL_RULES)
def test_without_any_one_of_the_rules_of_pools_a_promise_breaks(rule: str) -> None:
    assert explore_pools(Granting(rule)).promise == NEEDED_POOLS[rule]
