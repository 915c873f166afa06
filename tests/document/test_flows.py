"""Documents of flows: what they run is what their Python twin runs; everything wrong is told at once with its line; drawn."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import pytest
import yaml

from stepkeel import Append, Context, PartialJoin, State, ThreadMerge, ThreadSplit, Workflow, activity, delay, flow, load, step
from stepkeel.errors import DefinitionError
from stepkeel.testing import Harness


@dataclass
class Damage:
    amount: int = 6_000
    rounds: int = 0
    threads: int = 3
    log: Annotated[list[str], Append] = field(default_factory=list[str])


@activity
async def note(ctx: Context[Damage]) -> None:
    ctx.data.log.append(ctx.node.partition(":")[2].partition("/")[0])


@activity
async def judge(ctx: Context[Damage]) -> dict[str, int]:
    return {"rounds": ctx.data.rounds + 1}


class Settlement(Workflow[Damage], name="settlement"):
    settling = State[Damage](
        flow(
            step("receive", note, to={"policy": None, "survey": "data.amount > 1000", "police": "data.amount > 9000"}),
            step("policy", note, to="judge", tags=["inner"]),
            step("survey", [delay(timedelta(seconds=1)), note], to="judge"),
            step("police", note, to="judge"),
            step("judge", judge, join="live", to={"receive": "data.rounds < 2", "ask": None}, split="first"),
            step("ask", to="offer", split=ThreadSplit("data.threads")),
            step("offer", note, to="choose"),
            step("choose", note, join=ThreadMerge(2), to=["pay", "write"]),
            step("pay", note, to="tell"),
            step("write", [delay(timedelta(days=1)), note], to="tell"),
            step("tell", join=PartialJoin(1, rest="cancel", region=["write"])),
            start="receive",
            max_tokens=20,
            leftover="drop",
            name="claim",
        )
    )
    settled = State.completed()
    settling.to(settled)


DOCUMENT = """
name: settlement
data: Damage
states:
  settling:
    body:
      - flow:
          - name: receive
            uses: note
            to: [policy, {step: survey, when: data.amount > 1000}, {step: police, when: data.amount > 9000}]
          - {name: policy, uses: note, to: judge, tags: [inner]}
          - {name: survey, body: [{delay: 1s}, note], to: judge}
          - {name: police, uses: note, to: [judge]}
          - {name: judge, uses: judge, join: live, split: first, to: [{step: receive, when: data.rounds < 2}, ask]}
          - {name: ask, to: offer, split: {times: data.threads}}
          - {name: offer, uses: note, to: choose}
          - {name: choose, uses: note, join: {count: 2}, to: [pay, write]}
          - {name: pay, uses: note, to: tell}
          - {name: write, body: [{delay: 1d}, note], to: tell}
          - {name: tell, join: {n: 1, rest: cancel, region: [write]}}
        name: claim
        start: receive
        max_tokens: 20
        leftover: drop
    to: settled
  settled: {end: completed}
"""
ALL = [note, judge]


async def test_a_document_and_its_python_twin_have_one_fingerprint_and_one_history(harness: Harness) -> None:
    written = load(yaml.safe_load(DOCUMENT), ALL, types=[Damage])
    assert written.fingerprint == Settlement.definition.fingerprint
    histories: list[object] = []
    for definition in (written, Settlement):
        claim = await harness.start(definition, Damage())
        await harness.advance(timedelta(seconds=5))
        assert (await claim.get()).status == "completed"
        rounds = ["receive", "policy", "survey", "receive#2", "policy#2", "survey#2"]
        assert claim.value.log == [*rounds, "offer", "offer#2", "offer#3", "choose", "pay"]
        histories.append([(e.type, e.path) for h in await claim.history() for e in h.events])
    assert histories[0] == histories[1]


def test_what_is_dumped_loads_to_the_same_and_dumps_the_same() -> None:
    document = Settlement.definition.document()
    again = load(yaml.safe_load(yaml.safe_dump(document, sort_keys=False)), ALL, types=[Damage])
    assert again.fingerprint == Settlement.definition.fingerprint
    assert again.outline == Settlement.definition.outline
    assert again.document() == document


WRONG = """
name: claim
data: {properties: {amount: {type: integer}}, additionalProperties: false}
states:
  begin:
    body:
      - flow:
          - {name: receive, uses: nothing, to: [chek, ask, ask]}
          - {name: check, body: [{delay: 1s}, nots], to: {step: jion, when: data.amuont > 1}, retry: {attempts: 2}}
          - {name: ask, uses: note, body: note, split: {times: data.amount +}}
          - {name: join, join: {n: 2, count: 3}}
          - {name: pay, join: {n: 1, rest: cancel}}
          - {name: pay, join: {count: 1, rest: block}, timeout: 3s}
          - {name: end, join: {n: 0, region: [pya]}}
        start: [recieve]
    to: done
  done: {end: completed}
"""


def test_everything_that_is_wrong_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "claim.yaml"
    file.write_text(WRONG)
    with pytest.raises(DefinitionError) as found:
        load(file, ALL)
    told = [
        re.sub(r"^claim.yaml:(\d+):\d+ states.begin.body\[0\]\.", r"\1 ", str(p)).split(" -> ")[0] for p in found.value.problems
    ]
    wanted = [
        "8 flow[0].uses: there is no activity nothing [unknown_activity]",
        "8 flow[0].to[0]: there is no step chek [unknown_step]",
        "8 flow[0].to[2]: two arcs lead to ask [arc_twice]",
        "9 flow[1].body[1]: there is no activity nots [unknown_activity]",
        "9 flow[1].to.step: there is no step jion [unknown_step]",
        "9 flow[1].to.when: data has no field amuont [bad_expression]",
        "9 flow[1].retry: retry of the step check, which has a body [bad_step]",
        "10 flow[2].body: ask has an activity and a body [bad_step]",
        "11 flow[3].join: tokens of n arcs, or count tokens of one [bad_value]",
        "12 flow[4].join: PartialJoin(rest='cancel', region=()) [bad_value]",
        "13 flow[5].join.rest: rest is for {n: ...}: no token is late here [bad_value]",
        "13 flow[5].timeout: timeout of the step pay, which has no activity [bad_step]",
        "14 flow[6].join.region[0]: there is no step pya [unknown_step]",
        "14 flow[6].join: PartialJoin(0) [bad_value]",
        "15 start[0]: there is no step recieve [unknown_step]",
    ]
    for line in wanted:
        assert line in told, "\n".join(told)
    assert [t for t in told if "flow[5].name: there is a step pay already" in t]
    assert [t for t in told if t.startswith("10 flow[2].split.times") and t.endswith("[bad_expression]")]
    assert len(told) == len(wanted) + 2, "\n".join(told)


def test_what_the_builder_finds_has_the_line_of_its_step(tmp_path: Path) -> None:
    file = tmp_path / "claim.yaml"
    steps = "[{name: a, to: b, split: first},\n {name: b, join: {n: 2}},\n {name: c, join: all}]"
    file.write_text(f"name: claim\nstates:\n  begin:\n    body:\n      flow: {steps}\n    to: done\n  done: {{end: completed}}\n")
    with pytest.raises(DefinitionError) as found:
        load(file)
    assert [(p.code, p.place.split(":")[1]) for p in found.value.problems] == [("bad_join", "6"), ("bad_join", "7")]


def test_a_shape_that_is_wrong_is_told_with_what_is_meant() -> None:
    step_ = {"name": "a", "to": {"step": "b", "wen": "true"}, "split": "fist", "join": {"m": 1}, "needs": ["b"]}
    with pytest.raises(DefinitionError) as found:
        load({"name": "claim", "states": {"begin": {"body": [{"flow": [step_]}]}}})
    told = "\n".join(str(p) for p in found.value.problems)
    for part in (
        "a flow arc has no wen",
        "did you mean when?",
        "'fist'",
        "did you mean first?",
        "a join of a flow has no m",
        "has no needs",
    ):
        assert part in told, told


def test_it_is_drawn_with_its_arcs_those_that_lead_back_too() -> None:
    svg, text = Settlement.definition.svg(), Settlement.definition.mermaid()
    for part in (
        "judge · live → one",
        "ask → ×data.threads",
        "choose · 2 of one arc",
        "tell · first 1, cancel",
        "→ survey [data.amount &gt; 1000]",
    ):
        assert part in svg, part
    assert "settling__claim__judge --> settling__claim__receive: [data.rounds < 2]" in text
    assert "settling__claim__write: write<br/>delay, note" in text


async def test_explain_says_which_tokens_wait_and_for_which(harness: Harness) -> None:
    claim = await harness.start(Settlement, Damage())
    await harness.settle()
    told = str(await claim.explain())
    assert "settling/claim:judge has tokens on policy>judge (1), none on survey>judge, police>judge; its join is live" in told
