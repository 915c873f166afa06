"""The contract of what is told of all tenants: the same cases on every store."""

from __future__ import annotations

from stepkeel.store.port import Store
from tests.contract.test_store import begin


async def test_tenants_are_those_who_have_instances_or_keys_page_by_page(store: Store) -> None:
    assert await store.tenants("", 10) == []
    for n, tenant in enumerate(["delta", "alpha", "alpha", "charlie", "bravo"]):
        await begin(store, f"i{n}", tenant=tenant)
    assert await store.tenants("", 10) == ["alpha", "bravo", "charlie", "delta"]
    assert await store.tenants("", 2) == ["alpha", "bravo"]
    assert await store.tenants("bravo", 10) == ["charlie", "delta"]
    assert await store.tenants("delta", 10) == []
