"""One example of whatever the API is sent and answers, for its OpenAPI document: of an order that waits to be approved.

They are data of a document and nothing else: imported with it. Each is held against its schema by a test.
"""

from __future__ import annotations

from typing import Any

__all__ = ["EXAMPLES"]

ID, OTHER, TASK = (
    "01a20642-6591-76a7-aa4e-476673617e92",
    "01a20642-65b8-78a3-a0f0-5e1a1212ba5c",
    "01a20642-65a0-7ae1-b895-06280e145b09",
)
BEGUN, MOVED, DUE = "2026-11-23T09:30:00Z", "2026-11-23T09:30:02.250000Z", "2026-11-26T09:30:02.250000Z"
ORDER = {"order_id": "4711", "amount": 250}
FILTER = {"definition": "OrderApproval", "status": ["waiting"], "created_to": "2026-11-01T00:00:00Z"}
WHY = {"reason": "the customer called"}

_INSTANCE: dict[str, Any] = {
    "id": ID, "tenant": "default", "definition": "OrderApproval", "version": 1, "key": "order-4711", "status": "waiting",
    "state": "pending", "label": "Waiting for approval", "revision": 1, "data": ORDER, "attributes": {"region": "north"},
    "correlation_id": "cart-12", "priority": 2, "created_at": BEGUN, "updated_at": MOVED, "completed_at": None, "reason": "",
    "failure": None, "wake_at": DUE, "fault": None, "archived": False, "open": {}, "parent": None, "children": {},
}  # fmt: skip
_TASK: dict[str, Any] = {
    "id": TASK, "instance_id": ID, "definition": "OrderApproval", "version": 1, "path": "pending/approval",
    "title": "Approve order 4711?", "status": "open", "role": "manager", "assignee": "", "candidates": [], "excluded": ["bo"],
    "claimed_by": "ann", "form": "approval", "priority": 2, "due_at": DUE, "opened_at": MOVED, "updated_at": MOVED,
    "closed_at": None, "closed_by": "", "result": None, "reminded": 0, "escalated": 0, "overdue": False,
}  # fmt: skip
_DEFINITION: dict[str, Any] = {
    "name": "OrderApproval", "version": 1, "status": "active", "served": True,
    "outline": {"name": "OrderApproval", "initial": "pending", "states": [{"name": "pending"}, {"name": "approved"}]},
}  # fmt: skip
_KEY: dict[str, Any] = {
    "id": "a4331c08083a4e05", "name": "shop", "tenant": "default", "roles": ["operator"], "scopes": ["start_*", "get_*"],
    "made_by": "ann", "made_at": BEGUN, "ends_at": "2027-02-21T09:30:00Z", "used_at": None, "ended": False,
}  # fmt: skip
_ENTRY: dict[str, Any] = {
    "revision": 1, "at": BEGUN, "actor": "key:shop", "worker": "",
    "events": [{"type": "created", "path": "", "detail": {}}, {"type": "state_entered", "path": "pending", "detail": {}}],
    "set": {"status": "waiting", "state": "pending", "data.order_id": "4711", "data.amount": 250}, "unset": [],
}  # fmt: skip
_AUDITED: dict[str, Any] = {
    "seq": 12, "at": MOVED, "actor": "ann", "identity": "key:shop (a4331c08083a4e05)", "verb": "pause", "kind": "instance",
    "subject": ID, "instance_id": ID, "reason": WHY["reason"], "request_id": "9f1c2d5e", "detail": {"key": "call-7"},
    "digest": "586a1e484428ab62ed66732d6c6cb5da5d8bf8b053f1b37808c4cad317892daa",
}  # fmt: skip
_BREAKER: dict[str, Any] = {
    "name": "bank", "state": "open", "recent": "0010111111", "until": "2026-11-23T09:30:32Z", "opened_at": MOVED, "reason": "",
}  # fmt: skip

REQUESTS: dict[str, dict[str, Any]] = {
    "Start": {"definition": "OrderApproval", "data": ORDER, "key": "order-4711", "attributes": {"region": "north"}},
    "Signal": {"name": "OrderApproved", "payload": {"by": "ann"}, "key": "approval-9"},
    "Said": WHY,
    "SignIn": {
        "issuer": "https://id.example",
        "code": "SplxlOBeZQQYbYS6WxSbIA",
        "verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        "redirect_uri": "https://flows.example/signed-in",
    },
    "Stop": {**WHY, "compensate": True},
    "Redrive": {"reason": "the bank is back", "from_state": "paying/charge"},
    "Node": {"path": "packing/for_each", "reason": "the rest is sold out"},
    "CancelNode": {"path": "packing/for_each[2]", "then": "skip", "reason": "sold out"},
    "FireTimer": {"path": "pending!after", "reason": "no use in waiting"},
    "AddItems": {"path": "packing/for_each", "items": ["SKU-8"], "reason": "ordered by telephone"},
    "SetData": {"changes": {"amount": 200}, "reason": "a discount was promised"},
    "SetState": {"state": "pending", "reason": "it was rejected by mistake"},
    "Fork": {"from_state": "paying", "revision": 3, "data": {**ORDER, "amount": 200}, "reason": "what if it cost less"},
    "Asked": {},
    "Complete": {"payload": {"approved": True, "comment": "within budget"}},
    "Reassign": {"to": "cy"},
    "Comment": {"text": "asked the customer for the address"},
    "CreateKey": {"name": "shop", "roles": ["operator"], "scopes": ["start_*", "get_*"], "ends_in": "90d"},
    "RotateKey": {"overlap": "24h"},
    "Many": {"filter": FILTER, "dry_run": True, "limit": 100, "reason": "stocktaking"},
    "ManyStop": {"filter": FILTER, "compensate": True, "reason": "the shop is closed"},
    "ManyRedrive": {"filter": {"definition": "OrderApproval"}, "code": "BANK_AWAY", "reason": "the bank is back"},
    "ManySignal": {"filter": FILTER, "name": "OrderApproved", "payload": {"by": "ann"}, "key": "all-november"},
    "StartMany": {"definition": "OrderApproval", "items": [{"data": ORDER, "key": "order-4711"}, {"data": {"order_id": "4712"}}]},
    "Purge": {"filter": {"completed_to": "2025-01-01T00:00:00Z"}, "archived": True, "reason": "kept for long enough"},
    "Retire": {"older_than": "90d", "reason": "out of the lists"},
    "Doctor": {"histories": False},
    "Forget": {"activity": "rates", "reason": "they have changed"},
}
ANSWERS: dict[str, dict[str, Any]] = {
    "Instance": _INSTANCE,
    "Instances": {"items": [_INSTANCE], "cursor": None},
    "Waited": {
        "id": ID, "status": "completed", "state": "approved", "data": ORDER, "reason": "", "failure": None, "timed_out": False,
    },
    "History": {"items": [_ENTRY]},
    "Inbox": {
        "items": [
            {
                "seq": 1, "kind": "signal", "name": "OrderApproved", "payload": {"by": "ann"}, "key": "approval-9", "actor": "ann",
                "status": "processed", "reason": "", "received_at": MOVED, "processed_at": MOVED,
            }
        ]
    },
    "Timers": {"items": [{"path": "pending!after", "purpose": "after", "due_at": DUE}]},
    "Explanation": {
        "id": ID, "status": "waiting", "state": "pending",
        "why": [{"kind": "signal", "text": "it can take the signal OrderApproved"}], "moves": ["signal OrderApproved"],
    },
    "Receipt": {
        "instance_id": ID, "name": "OrderApproved", "key": "approval-9", "status": "processed", "reason": "", "seq": 1,
        "duplicate": False,
    },
    "TaskInfo": _TASK,
    "TaskPage": {"items": [_TASK], "cursor": None},
    "Definition": _DEFINITION,
    "Definitions": {"items": [_DEFINITION]},
    "StartedMany": {"items": [{"id": ID, "created": True}, {"id": OTHER, "created": False}]},
    "Fates": {
        "items": [{"id": ID, "outcome": "done", "reason": ""}, {"id": OTHER, "outcome": "refused", "reason": "it is archived"}],
        "more": False,
    },
    "Counted": {"count": 250},
    "Metrics": {
        "items": [{"definition": "OrderApproval", "version": 1, "status": "waiting", "state": "pending", "count": 17}],
        "due": [{"definition": "OrderApproval", "count": 3, "since": MOVED}],
    },
    "Throughput": {
        "since": BEGUN, "until": "2026-11-23T10:30:00Z", "width": 60.0,
        "items": [{"at": BEGUN, "count": {"completed": 118, "failed": 2}, "median": 1.7, "p95": 9.5}],
    },
    "Dead": {
        "items": [
            {
                "definition": "OrderApproval", "state": "paying", "code": "BANK_AWAY", "count": 3, "example": "no connection",
                "latest": OTHER, "fingerprint": "5f0c6e9b1d2a7743", "newest": [OTHER, ID],
            }
        ]
    },
    "Workers": {
        "items": [
            {
                "id": "01a20642-62e4-7ad4-9308-f78326185a85", "name": "shop-7d9f:1", "serves": ["OrderApproval@1"],
                "started_at": BEGUN, "expires_at": "2026-11-23T09:30:07Z", "alive": True,
            }
        ]
    },
    "Limits": {
        "items": [
            {
                "name": "activity/charge", "size": 2, "per": None, "held": 2, "waiting": 1,
                "tickets": [
                    {"instance_id": ID, "path": "paying/charge", "amount": 2, "since": MOVED},
                    {"instance_id": OTHER, "path": "paying/charge", "amount": 1, "since": None},
                ],
            }
        ]
    },
    "Breaker": _BREAKER,
    "Breakers": {"items": [_BREAKER]},
    "Messages": {
        "items": [
            {
                "id": f"{ID}/1", "topic": "approved", "payload": {"order_id": "4711"}, "instance_id": ID,
                "definition": "OrderApproval", "version": 1, "tenant": "default", "at": MOVED, "tries": 0, "error": "",
            }
        ]
    },
    "Checked": {"checked": 1_204, "violations": 0, "repaired": 0, "findings": []},
    "Whoami": {
        "name": "key:shop", "actor": "ann", "how": "key", "tenant": "default", "tenants": ["default"], "roles": ["operator"],
        "operations": ["get_instance", "start_instance"],
    },
    "SignIns": {
        "keys": True,
        "providers": [
            {
                "issuer": "https://id.example", "title": "Example", "authorize": "https://id.example/authorize",
                "client_id": "stepkeel", "scopes": ["openid", "profile"], "parameters": {},
            }
        ],
    },
    "Roles": {
        "items": [{"name": "clerk", "allow": ["get_*"], "deny": ["get_data"], "operations": ["get_instance", "get_task"]}],
    },
    "Tenants": {
        "items": [{"name": "acme", "tier": {"instances": 500, "step_timeout": 300.0}, "instances": {"waiting": 12, "failed": 1}}],
        "cursor": None,
    },
    "SignedIn": {"token": "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.c2lnbmF0dXJl", "refresh_token": ""},
    "Key": _KEY,
    "Keys": {"items": [_KEY]},
    "MadeKey": {"key": _KEY, "secret": "stepkeel_a4331c08083a4e05_..."},
    "Audited": {"items": [_AUDITED]},
    "Verification": {"intact": True, "entries": 12, "head": f"12:{_AUDITED['digest']}", "problems": []},
    "Problem": {
        "type": "urn:stepkeel:instance_ended", "title": "not possible now", "status": 409, "code": "instance_ended",
        "detail": f"pause is not possible: {ID} is completed", "remedy": "an ended instance can be archived; a failed one redriven",
        "instance": f"/api/v1/instances/{ID}/pause",
    },
}  # fmt: skip
EXAMPLES = {**REQUESTS, **ANSWERS}
