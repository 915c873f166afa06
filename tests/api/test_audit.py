"""Over the API the audit log keeps who was recognised, in whose name they acted, and the id of the request."""

from __future__ import annotations

import json

from stepkeel import Engine
from stepkeel.access import Access
from tests.api.place import Desk, Place, calling


async def test_an_entry_names_the_credential_the_actor_and_the_request(url: str) -> None:
    async with Engine(url, [Desk]) as engine, calling(engine, Access()) as client:
        made = await engine.keys.create("front", roles=["admin"])
        place = Place(client, engine, {"front": made.secret})
        body = {"definition": "Desk", "data": {"name": "x"}, "key": "k"}
        headers = {"X-Actor": "ann", "X-Request-ID": "req-1"}
        id = (await place.ask("front", "POST", "/instances", body, **headers)).json()["id"]
        await place.until(id, "waiting")
        assert (await place.ask("front", "POST", "/instances", body)).status_code == 200
        answer = await place.ask("front", "POST", f"/instances/{id}/pause", {"reason": "stock"})
        assert answer.status_code == 200
        assert (await place.ask("front", "GET", f"/instances/{id}")).status_code == 200, "reading is no act"
        found = (await place.ask("front", "GET", f"/audit?instance_id={id}")).json()["items"]
        assert [e["verb"] for e in found] == ["start", "pause"], "what was known already is no entry"
        identity = f"key:front ({made.key.id})"
        assert (found[0]["actor"], found[0]["identity"], found[0]["request_id"]) == ("ann", identity, "req-1")
        assert (found[1]["actor"], found[1]["reason"]) == ("key:front", "stock")
        assert found[1]["request_id"] == answer.headers["X-Request-ID"]
        lines = (await place.ask("front", "GET", "/audit/export?after=1")).text.splitlines()
        assert [json.loads(line)["verb"] for line in lines] == ["make", "start", "pause"]
        report = (await place.ask("front", "GET", "/audit/verification")).json()
        assert report["intact"]
        later = (await place.ask("front", "GET", f"/audit/verification?anchor={report['head']}")).json()
        assert (later["intact"], later["entries"]) == (True, 4)
        for wrong in ("anchor=7", "after=-1", "limit=0", "at_from=yesterday", "who=ann"):
            at = f"/audit/verification?{wrong}" if "anchor" in wrong else f"/audit?{wrong}"
            assert (await place.ask("front", "GET", at)).status_code == 400, wrong


async def test_a_tenant_reads_its_own_log(url: str) -> None:
    async with (
        Engine(url, [Desk], worker=False) as own,
        Engine(url, [Desk], tenant="acme", worker=False) as acme,
        calling(own, Access()) as client,
    ):
        secrets = {e._tenant: (await e.keys.create("k", roles=["admin"])).secret for e in (own, acme)}
        place = Place(client, own, secrets)
        for tenant in secrets:
            await place.ask(tenant, "POST", "/instances", {"definition": "Desk", "data": {"name": tenant}})
        for tenant in secrets:
            found = (await place.ask(tenant, "GET", "/audit?kind=instance")).json()["items"]
            assert len(found) == 1
            assert (await place.ask(tenant, "GET", "/audit/verification")).json()["intact"]
