"""The dashboard and the alerts ask for figures that are told, and the page lists what there is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from stepkeel import Engine
from stepkeel.cli.main import main
from stepkeel.cli.watching import ALERTS
from stepkeel.model.breaker import BreakerRow
from stepkeel.runtime.figures import figures
from tests.flows import ChainFlow, Job, World

PAGE = (Path(__file__).parents[2] / "docs/how-to/watch.md").read_text(encoding="utf-8")


async def told(folder: Path) -> dict[str, set[str]]:
    """Every figure with its labels, of an engine with something of everything."""
    services = {World: World()}
    async with Engine(f"sqlite:///{folder / 'w.db'}", [ChainFlow], services) as engine:
        await (await engine.start(ChainFlow, Job(note="explode"))).wait(10)
        own = figures(engine.process.worker).decode()
    async with Engine(f"sqlite:///{folder / 'w.db'}", [ChainFlow], services, worker=False) as engine:
        await engine.start(ChainFlow, Job())  # nobody takes it
        await engine.store.put_breaker(BreakerRow("bank", 1, "open", "1", 9, 9, 9, "away"))
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=engine.asgi()), base_url="http://localhost") as client:
            text = own + (await client.get("/api/v1/metrics/prometheus")).text
    found: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^(stepkeel_\w+)(?:\{(.*)\})? ", text, re.M):
        found.setdefault(name, set()).update(re.findall(r"(\w+)=", labels))
    for name in re.findall(r"^# TYPE (stepkeel_\w+)", text, re.M):
        found.setdefault(name, set())  # none of it is there just now
    return found


def asked(expression: str) -> set[str]:
    assert all(expression.count(a) == expression.count(b) for a, b in ("()", "[]", "{}")), expression
    return set(re.findall(r"stepkeel_\w+", expression))


async def test_dashboard_and_alerts_ask_for_what_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = await told(tmp_path)
    assert main(["export", "grafana"]) == 0
    dashboard: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert main(["export", "alerts"]) == 0
    rules = yaml.safe_load(capsys.readouterr().out)["groups"][0]["rules"]
    expressions = [p["targets"][0]["expr"] for p in dashboard["panels"]] + [r["expr"] for r in rules]
    used = set[str]().union(*map(asked, expressions))
    assert used <= set(known), used - set(known)
    names = {re.sub("_(bucket|count)$", "", n) for n in used}
    assert names >= {n for n in known if not n.endswith(("_sum", "_count", "_bucket", "_created"))} - {"stepkeel_committed_rows"}
    for rule in rules:
        labels = set[str]().union(*(known[n] for n in asked(rule["expr"])))
        assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= labels, rule["alert"]
    assert len({p["id"] for p in dashboard["panels"]}) == len(dashboard["panels"])
    for panel in dashboard["panels"]:
        assert set(re.findall(r"\{\{(\w+)\}\}", panel["targets"][0]["legendFormat"])) <= {
            "instance", *set[str]().union(*(known[n] for n in asked(panel["targets"][0]["expr"]))),
        }, panel["title"]  # fmt: skip


async def test_the_page_lists_every_figure_and_every_alert(tmp_path: Path) -> None:
    listed = set(re.findall(r"`(stepkeel_\w+)`", PAGE))
    known = {re.sub(r"_(sum|count|bucket|created)$", "", n) for n in await told(tmp_path)} - {"stepkeel_committed_rows"}
    assert listed == known
    assert re.findall(r"^\| `(Stepkeel\w+)` \| .* \| (\w+) \|$", PAGE, re.M) == [(a[0], a[3]) for a in ALERTS]
