"""What roles permit: a deny wins, scopes narrow, what is not known permits nothing."""

from __future__ import annotations

import pytest

from stepkeel.access import BUILT_IN, Access, Identity, Issuer, Role
from stepkeel.access.role import permitted, roles_by_name
from stepkeel.errors import BadRequest

KNOWN = roles_by_name(
    [Role("clerk", ("get_*", "*_task"), ("reassign_task",)), Role("intern", ("*",), ("*_instance",)), Role("nothing")]
)


@pytest.mark.parametrize(
    ("operation", "roles", "scopes", "may"),
    [
        ("get_instance", ["viewer"], None, True),
        ("pause_instance", ["viewer"], None, False),
        ("pause_instance", ["viewer", "operator"], None, True),
        ("get_data", ["clerk"], None, True),
        ("claim_task", ["clerk"], None, True),
        ("reassign_task", ["clerk"], None, False),
        ("reassign_task", ["clerk", "admin"], None, False),
        ("list_instances", ["clerk"], None, False),
        ("pause_instance", ["intern", "operator"], None, False),
        ("pause_instance", ["operator"], ("get_*",), False),
        ("get_instance", ["operator"], ("get_*",), True),
        ("revoke_key", ["viewer"], ("*",), False),
        ("get_instance", ["unheard_of"], None, False),
        ("get_instance", ["nothing"], None, False),
        ("get_instance", [], None, False),
        ("get_instance", ["admin"], (), False),
        ("whatever", ["admin"], None, True),
    ],
)
def test_a_deny_wins_scopes_narrow_and_what_is_not_known_permits_nothing(
    operation: str, roles: list[str], scopes: tuple[str, ...] | None, may: bool
) -> None:
    assert permitted(operation, roles, scopes, KNOWN) is may


def test_a_role_of_ones_own_takes_the_place_of_a_built_in_one_and_none_is_given_twice() -> None:
    own = roles_by_name([Role("viewer", ("list_tasks",))])
    assert permitted("list_tasks", ["viewer"], None, own)
    assert not permitted("get_data", ["viewer"], None, own)
    assert own["admin"] is BUILT_IN["admin"]
    with pytest.raises(BadRequest, match="given twice"):
        roles_by_name([Role("x"), Role("x")])


@pytest.mark.parametrize("name", ["", " ", "a b", "-x", "x" * 101, "*"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(BadRequest, match="no name of a role"):
        Role(name)


@pytest.mark.parametrize("pattern", ["", "GET_*", "get instance", "get_[a-z]", "get?", "x" * 101])
def test_a_pattern_that_is_none_is_refused(pattern: str) -> None:
    with pytest.raises(BadRequest, match="no pattern"):
        Role("r", (pattern,))
    with pytest.raises(BadRequest, match="no pattern"):
        Role("r", (), (pattern,))


def test_nobody_may_make_a_credential_that_may_more_than_they() -> None:
    access = Access(roles=[Role("keeper", ("*_key", "get_*"), ("get_data",))])
    keeper = Identity("ann", "key", ("keeper",), ("default",))
    operations = ["get_data", "get_instance", "create_key", "pause_instance"]
    assert access.within(keeper, ["keeper"], [], operations)
    assert access.within(keeper, ["operator"], ["get_instance"], operations)
    assert not access.within(keeper, ["viewer"], [], operations), "a viewer may read data"
    assert not access.within(keeper, ["admin"], ["act_for_others"], operations)
    assert access.within(Identity("eve", "key", ("admin",), ("default",)), ["admin"], [], operations)
    narrowed = Identity("bo", "key", ("admin",), ("default",), ("*_key",))
    assert not access.within(narrowed, ["admin"], [], operations)


def test_an_access_that_lets_nobody_in_or_has_an_issuer_twice_is_refused() -> None:
    with pytest.raises(BadRequest, match="nobody could be recognised"):
        Access(keys=False)
    one = Issuer("https://id.example", "api")
    with pytest.raises(BadRequest, match="given twice"):
        Access(issuers=[one, one])
