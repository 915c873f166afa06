"""A tenant of an API with a credential for each role, and how every operation of it is tried."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2

from stepkeel import Context, Engine, PermanentError, Signal, State, Workflow, activity, approval, for_each
from stepkeel.access import Access
from tests.flows import Job

API = "/api/v1"
ROOT = Path(__file__).parents[2]
ROLES = ("viewer", "approver", "operator", "designer", "admin")
Answer = Any


class Paid(Signal):
    by: str


@activity
async def break_down(ctx: Context[Job]) -> None:
    raise PermanentError("broken")


class Desk(Workflow[Job]):
    paying = State[Job]()
    lines = State[Job](for_each(lambda job: ["a"], approval("Ship it?", role="approver"), stay_open_until="completed"))
    broken = State(break_down)
    done = State.completed()
    paying.on(Paid, to=done)
    paying.after(timedelta(days=3), to=done)
    lines.to(done)
    broken.to(done)


def page() -> dict[str, set[str]]:
    """The roles by operation, as the table of the page says."""
    text = (ROOT / "docs/how-to/identity.md").read_text(encoding="utf-8")
    head = re.search(r"^\| operation \|(.*)\|$", text, re.M)
    assert head is not None
    roles = [r.strip() for r in head[1].split("|")]
    found: dict[str, set[str]] = {}
    for name, cells in re.findall(r"^\| `(\w+)` \|(.*)\|$", text, re.M):
        found[name] = {role for role, cell in zip(roles, cells.split("|"), strict=True) if cell.strip() == "yes"}
    return found


def calling(engine: Engine, access: Access, *, many: bool = False) -> httpx2.AsyncClient:
    """A client of the engine's API, on the loop on which it is open."""
    app = httpx2.ASGITransport(app=engine.asgi(access=access, writes_per_minute=None if many else 100))
    return httpx2.AsyncClient(transport=app, base_url="http://localhost")


@dataclass
class Place:
    """One tenant of an API, with a credential for each role."""

    client: httpx2.AsyncClient
    engine: Engine
    secrets: dict[str, str]

    async def ask(self, role: str, method: str, at: str, body: Any = None, **headers: str) -> Answer:
        headers = {"Authorization": f"Bearer {self.secrets[role]}", **headers}
        return await self.client.request(method, f"{API}{at}", json=body, headers=headers)

    # -- what operations are tried on

    async def made(self, state: str = "", status: str = "waiting") -> str:
        instance = await self.engine.start(Desk, {"name": "x"})
        await self.until(instance.id, "waiting")
        if state:
            await self.engine.set_state(instance.id, state)
            await self.until(instance.id, status)
        return instance.id

    async def until(self, id: str, status: str) -> None:
        async with asyncio.timeout(10):
            while (await self.engine.get(id)).status != status:
                await asyncio.sleep(0.002)

    async def paused(self) -> str:
        id = await self.made()
        await self.engine.pause(id)
        return id

    async def failed(self) -> str:
        return await self.made("broken", "failed")

    async def ended(self) -> str:
        id = await self.made()
        await self.engine.cancel(id)
        return id

    async def open(self) -> tuple[str, str, str]:
        """An instance with a for_each that is open, its path, and the task of its item."""
        id = await self.made("lines")
        async with asyncio.timeout(10):
            while not (tasks := (await self.engine.tasks(instance_id=id)).items):
                await asyncio.sleep(0.002)
        return id, "lines/for_each", tasks[0].id

    async def task(self, actor: str = "") -> str:
        _, _, task = await self.open()
        if actor:
            await self.engine.task(task).claim(actor=actor)
        return task

    async def key(self) -> str:
        return (await self.engine.keys.create("other", roles=["viewer"])).key.id


Try = Callable[[Place, str], Awaitable[tuple[str, str, Any]]]  # of a place and a role: method, path, body


def _on(arranged: Callable[[Place], Awaitable[str]], verb: str = "", body: Any = None, kind: str = "instances") -> Try:
    async def tried(place: Place, role: str) -> tuple[str, str, Any]:
        at = f"/{kind}/{await arranged(place)}"
        return ("POST", f"{at}/{verb}", {} if body is None else body) if body is not None or verb else ("GET", at, None)

    return tried


def _side(name: str) -> Try:
    async def tried(place: Place, role: str) -> tuple[str, str, Any]:
        return "GET", f"/instances/{await place.made()}/{name}", None

    return tried


def _node(verb: str, item: str = "", **more: Any) -> Try:
    async def tried(place: Place, role: str) -> tuple[str, str, Any]:
        id, path, _ = await place.open()
        return "POST", f"/instances/{id}/{verb}", {"path": path + item, **more}

    return tried


def _task(verb: str, body: Any, *, claimed: bool = False) -> Try:
    async def tried(place: Place, role: str) -> tuple[str, str, Any]:
        return "POST", f"/tasks/{await place.task(f'key:{role}' if claimed else '')}/{verb}", body

    return tried


def plain(method: str, at: str, body: Any = None) -> Try:
    async def tried(place: Place, role: str) -> tuple[str, str, Any]:
        return method, at, body

    return tried


async def _ended_stream(place: Place, role: str) -> tuple[str, str, Any]:
    return "GET", f"/instances/{await place.ended()}/events", None


OLD = {"created_to": "2020-01-01T00:00:00Z"}
TRIES: dict[str, Try] = {
    "get_identity": plain("GET", "/identity"),
    "list_roles": plain("GET", "/roles"),
    "list_tenants": plain("GET", "/tenants"),
    "get_sign_in": plain("GET", "/sign-in"),
    "sign_in": plain("POST", "/sign-in", {"issuer": "https://id.example", "refresh_token": "x"}),
    "get_instance": _on(Place.made),
    **{f"get_{n}": _side(n) for n in ("data", "history", "signals", "timers", "children", "diagram")},
    "stream_history": _ended_stream,
    "stream_events": plain("GET", "/events?seconds=0"),
    "get_explanation": _side("explain"),
    "wait_instance": _side("wait?seconds=0"),
    "get_definition": plain("GET", "/definitions/Desk/versions/1"),
    "get_definition_document": plain("GET", "/definitions/Desk/versions/1/document"),
    "get_definition_diagram": plain("GET", "/definitions/Desk/versions/1/diagram"),
    "get_task": _on(Place.task, kind="tasks"),
    "list_instances": plain("GET", "/instances"),
    "list_definitions": plain("GET", "/definitions"),
    "list_tasks": plain("GET", "/tasks"),
    "start_instance": plain("POST", "/instances", {"definition": "Desk", "data": {"name": "x"}}),
    "signal_instance": _on(Place.made, "signals", {"name": "Paid", "payload": {"by": "x"}}),
    "pause_instance": _on(Place.made, "pause"),
    "resume_instance": _on(Place.paused, "resume"),
    "cancel_instance": _on(Place.made, "cancel"),
    "terminate_instance": _on(Place.made, "terminate"),
    "redrive_instance": _on(Place.failed, "redrive"),
    "fork_instance": _on(Place.made, "fork"),
    "archive_instance": _on(Place.ended, "archive"),
    "release_instance": _on(Place.made, "release"),
    "fire_timer": _on(Place.made, "fire-timer", {"path": "paying!after"}),
    "cancel_node": _node("cancel-node", "[0]/approval", then="skip"),
    "complete_node": _node("complete-node"),
    "add_items": _node("add-items", items=["b"]),
    "set_data": _on(Place.paused, "set-data", {"changes": {"note": "y"}}),
    "set_state": _on(Place.made, "set-state", {"state": "done"}),
    "claim_task": _task("claim", {}),
    "release_task": _task("release", {}, claimed=True),
    "complete_task": _task("complete", {"payload": {"approved": True}}),
    "reassign_task": _task("reassign", {"to": "bo"}),
    "comment_task": _task("comment", {"text": "hm"}),
    "get_metrics": plain("GET", "/metrics"),
    "get_throughput": plain("GET", "/metrics/throughput"),
    "list_dead_letters": plain("GET", "/dead-letters"),
    "get_prometheus": plain("GET", "/metrics/prometheus"),
    "list_workers": plain("GET", "/workers"),
    "list_limits": plain("GET", "/limits"),
    "list_breakers": plain("GET", "/breakers"),
    "list_messages": plain("GET", "/messages"),
    "close_breaker": plain("POST", "/breakers/bank/close", {}),
    "forget_cached": plain("POST", "/cached/forget", {}),
    "run_doctor": plain("POST", "/doctor", {}),
    "start_instances": plain("POST", "/bulk/start", {"definition": "Desk", "items": [{"data": {"name": "x"}}]}),
    "signal_instances": plain("POST", "/bulk/signal", {"filter": OLD, "name": "Paid", "payload": {"by": "x"}}),
    **{
        f"{verb}_instances": plain("POST", f"/bulk/{verb}", {"filter": OLD})
        for verb in ("pause", "resume", "cancel", "terminate", "redrive", "archive", "purge")
    },
    "retire_instances": plain("POST", "/bulk/retire", {"older_than": "1000d"}),
    "read_audit": plain("GET", "/audit"),
    "verify_audit": plain("GET", "/audit/verification"),
    "export_audit": plain("GET", "/audit/export"),
    "list_keys": plain("GET", "/keys"),
    "create_key": plain("POST", "/keys", {"name": "new", "roles": ["viewer"]}),
    "rotate_key": _on(Place.key, "rotate", kind="keys"),
    "revoke_key": _on(Place.key, "revoke", kind="keys"),
}
NOBODYS = {n for n, t in TRIES.items() if t.__qualname__.startswith("plain")}  # nothing in its address is of a tenant
# No worker holds it, there is no such one, a lambda is in it: allowed, nothing to do.
POSSIBLE = {"sign_in": 404, "release_instance": 409, "close_breaker": 404, "get_definition_document": 404}
