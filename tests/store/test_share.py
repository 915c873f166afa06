"""How slots are shared: between priorities, tenants and definitions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stepkeel.store.share import Turn, divide, level

_counts = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 40))


@given(_counts, _counts, st.integers(0, 60))
def test_slots_go_to_who_holds_fewest_one_after_the_other(wants: dict[str, int], held: dict[str, int], limit: int) -> None:
    """As if each slot were given alone: the rule, said slowly."""
    slowly = dict.fromkeys(wants, 0)
    for _ in range(limit):
        able = [k for k, n in wants.items() if n > slowly[k]]
        if able:
            slowly[min(able, key=lambda k: held.get(k, 0) + slowly[k])] += 1
    assert level(wants, held, limit) == slowly


def turn(tenant: str, due: int, *, priority: int = 2, definition: str = "flow", since: int = 0) -> Turn:
    return Turn(definition, 1, priority, tenant, due, since)


def told(turns: list[Turn], held: dict[str, int], limit: int) -> dict[str, int]:
    given: dict[str, int] = {}
    for t, n in divide(turns, held, limit):
        given[t.tenant] = given.get(t.tenant, 0) + n
    return given


def test_a_flood_leaves_a_slot_to_each_of_the_others() -> None:
    assert told([turn("big", 10_000), turn("small", 1), turn("tiny", 2)], {}, 9) == {"big": 6, "small": 1, "tiny": 2}


def test_one_slot_goes_to_whom_holds_nothing_yet() -> None:
    assert told([turn("big", 10_000), turn("small", 1, since=9)], {"big": 99}, 1) == {"small": 1}


def test_among_equals_who_has_waited_longest_comes_first() -> None:
    assert told([turn("late", 1, since=7), turn("early", 1, since=3)], {"late": 4, "early": 4}, 1) == {"early": 1}


def test_priorities_come_before_tenants() -> None:
    given = divide([turn("big", 1_000, priority=0), turn("small", 1_000, priority=4)], {"big": 500}, 17)
    assert [(t.tenant, n) for t, n in given] == [("big", 16), ("small", 1)]


def test_many_of_one_definition_do_not_hide_the_others_of_a_tenant() -> None:
    turns = [turn("a", 1_000, definition="orders"), turn("a", 3, definition="refunds", since=9), turn("b", 1)]
    assert [(t.tenant, t.definition, n) for t, n in divide(turns, {}, 9)] == [
        ("a", "orders", 5),
        ("a", "refunds", 3),
        ("b", "flow", 1),
    ]
