"""Diagrams as SVG: everything is in them, nothing covers anything, the same definition is drawn the same."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from stepkeel import Context, Signal, State, Workflow, activity
from stepkeel.document.layers import layers
from stepkeel.document.svg import svg
from stepkeel.errors import BadRequest
from stepkeel.testing import Harness
from stepkeel.testing.simulation.branches import PACKAGING, Crossing
from stepkeel.testing.simulation.builtin import BUILTIN
from stepkeel.testing.simulation.chance import Chance
from tests.flows import ChainFlow, Go, Job, WaitFlow, World

SVG = "{http://www.w3.org/2000/svg}"
FLOWS = list({d.name: d for s in BUILTIN for d in s.definitions}.values())


class Hop(Signal): ...


def web(count: int, seed: int = 1) -> type[Workflow[Job]]:
    """So many states, each with ways to a few others, back and forth."""
    chance = Chance(seed)
    states = {f"state_{n}": State[Job]() for n in range(count)}
    made = [*states.values()]
    for n, state in enumerate(made[:-1]):
        state.to(made[n + 1], when=lambda job: job.amount > 1)
        for _ in range(chance.below("ways", 3)):
            state.on(Hop, to=made[chance.below("to", count)])
        state.after(60.0, to=made[max(0, n - chance.below("back", 5))])
    return type("Web", (Workflow,), {**states, "__orig_bases__": (Workflow[Job],)})


def rectangles(text: str, style: str) -> list[tuple[float, float, float, float]]:
    root = ET.fromstring(text)
    found = [r for r in root.iter(f"{SVG}rect") if re.search(rf"\b{style}\b", r.get("class", ""))]
    return [tuple(float(r.get(n, 0)) for n in ("x", "y", "width", "height")) for r in found]  # type: ignore[misc]


def covers(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]


@pytest.mark.parametrize("definition", [*FLOWS, web(30).definition], ids=lambda d: d.name)
def test_every_state_and_node_is_in_it_and_no_state_covers_another(definition: Any) -> None:
    text = definition.svg()
    said = [t.text for t in ET.fromstring(text).iter(f"{SVG}text")]
    for state in definition.states.values():
        assert any(t and (state.label or state.name) in t for t in said), state.name
        for node in state.body:
            assert any(t and node.key in t for t in said), node.key
    boxes = rectangles(text, "state")
    assert len(boxes) == len(definition.states) + bool(definition.outline.get("anywhere"))
    assert not [pair for pair in itertools.combinations(boxes, 2) if covers(*pair)]
    view = [float(n) for n in ET.fromstring(text).get("viewBox", "").split()]
    for x, y, width, height in (*boxes, *rectangles(text, "label")):
        assert view[0] <= x, "within the picture"
        assert x + width <= view[0] + view[2]
        assert y + height <= view[3]


def test_thirty_states_stay_readable() -> None:
    for seed in range(5):
        text = web(30, seed).definition.svg()
        labels = rectangles(text, "label")
        assert len(labels) > 40
        overlapping = [pair for pair in itertools.combinations(labels, 2) if covers(*pair)]
        assert len(overlapping) <= len(labels) // 20, "labels keep clear of each other"
        hidden = [(a, b) for a in labels for b in rectangles(text, "state") if covers(a, b)]
        assert len(hidden) <= len(labels) // 10


def test_ways_lead_down_but_those_that_close_a_circle() -> None:
    layout = layers(["a", "b", "c", "d"], [("a", "b"), ("b", "c"), ("c", "a"), ("a", "d"), ("c", "d")], dict.fromkeys("abcd", 80.0))
    assert [layout.layer[n] for n in "abcd"] == [0, 1, 2, 3]
    assert layout.chains["c", "a"][0] == "c"
    assert layout.chains["c", "a"][-1] == "a"
    assert len(layout.chains["a", "d"]) == 4, "it passes the layers between"


def test_the_same_definition_is_drawn_the_same_in_every_process() -> None:
    program = "from stepkeel.testing.simulation.branches import Crossing; print(Crossing.definition.svg(), end='')"
    runs: list[str] = []
    for seed in ("1", "2"):
        environment = {"PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
        runs.append(done.stdout)
    assert runs[0] == runs[1] == Crossing.definition.svg()


def test_what_an_author_wrote_is_text_and_nothing_else() -> None:
    @activity(name="a<b>&c")
    async def strange(ctx: Context[Job]) -> None: ...

    class Flow(Workflow[Job]):
        one = State(strange, label='<script>"x"</script>')
        two = State.completed()
        one.to(two)

    text = Flow.definition.svg()
    assert "<script" not in text
    assert "a&lt;b&gt;&amp;c" in text


async def test_an_instance_shows_where_it_stands_and_how_it_came_there(harness: Harness) -> None:
    harness.services[World] = World()
    job = await harness.start(WaitFlow, Job())
    engine = await harness.engine()
    text = await engine.diagram(job.id)
    assert f": waiting in {(await job.get()).state}" in text
    assert text.count('class="now"') == 1
    await harness.signal(job, Go(note="x"))
    after = await engine.diagram(job.id)
    assert after.count("edge taken") > text.count("edge taken")
    assert 'class="visited"' in after
    assert "class" in await engine.diagram(job.id, "mermaid")
    failed = await harness.start(ChainFlow, Job(note="explode"))
    broken = await engine.diagram(failed.id)
    assert (broken.count('class="broken"'), broken.count("m-failed") > 0, broken.count("m-done") > 0) == (1, True, True)
    assert "broken" in await engine.diagram(failed.id, "mermaid")
    with pytest.raises(BadRequest):
        await engine.diagram(job.id, "png")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_a_pipeline_is_drawn_as_its_phases() -> None:
    assert svg(PACKAGING.definition.outline).count('class="box state') == len(PACKAGING.definition.states)
