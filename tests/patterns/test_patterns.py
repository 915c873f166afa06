"""Workflow control-flow patterns (van der Aalst, ter Hofstede, Russell) as documents: each runs as its definition says, whatever

crashes, is lost or comes in another order. The number is the pattern's; those `of_tokens` show one a second time, as a flow.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stepkeel import Context, activity, load
from stepkeel.model.policy import Retry
from stepkeel.testing import Simulation
from stepkeel.testing.simulation.chance import RATES
from stepkeel.testing.simulation.run import Ended

FOLDER = Path(__file__).parent
SEEDS = range(25)
FAULTS = tuple(kind for kind in RATES if kind != "operator")  # who is asked to do otherwise does otherwise


class World:
    """What was noted, in the order of time; an attempt that is repeated notes nothing anew."""

    def __init__(self) -> None:
        self.logs: dict[str, list[str]] = {}
        self.keys: set[str] = set()

    def note(self, instance: str, key: str, word: str) -> None:
        if key not in self.keys:
            self.keys.add(key)
            self.logs.setdefault(instance, []).append(word)


@activity(name="note", retry=Retry(attempts=50, delay=0.2))
async def note(ctx: Context[Any, str], world: World) -> None:
    world.note(ctx.instance_id, ctx.idempotency_key, ctx.input)
    ctx.data["log"].append(ctx.input)


def exactly(*words: str) -> Callable[[list[str]], bool]:
    return lambda log: log == [*words]


def some(words: str, last: str = "") -> Callable[[list[str]], bool]:
    """Each of these once, in any order, and one behind them."""
    wanted = sorted(words.split())
    return lambda log: sorted(log if not last else log[:-1]) == wanted and (not last or log[-1] == last)


def before(log: list[str], one: str, other: str) -> bool:
    return log.index(one) < log.index(other)


def apart(log: list[str], *pairs: str) -> bool:
    """Nothing of another stands between the first and the second of each."""
    inside = [w for w in log if w[0] in pairs and len(w) == 2]
    return sorted(inside) == sorted(f"{p}{n}" for p in pairs for n in "12") and all(
        inside[i][0] == inside[i + 1][0] for i in range(0, len(inside), 2)
    )


def after(log: list[str], word: str, *enough: Callable[[list[str]], bool]) -> bool:
    """It stands there so often, and what stands before the first, the second ... of them is enough."""
    places = [n for n, w in enumerate(log) if w == word]
    return len(places) == len(enough) and all(e(log[:n]) for n, e in zip(places, enough, strict=True))


def of_each(n: int, words: str) -> Callable[[list[str]], bool]:
    """Each of these so often."""
    return lambda log: all(log.count(w) >= n for w in words)


HOLDS: dict[str, Callable[[list[str]], Any]] = {
    "wcp01_sequence": exactly("a", "b", "c"),
    "wcp02_parallel_split": lambda log: some("a b c", "d")(log) and before(log, "b", "c"),
    "wcp04_exclusive_choice": exactly("b", "c"),
    "wcp06_multi_choice": some("a b", "d"),
    "wcp08_multi_merge": lambda log: (
        some("a b c d d")(log) and after(log, "d", lambda b: len(b) > 1, lambda b: of_each(1, "bc")(b)) and log[0] == "a"
    ),
    "wcp09_discriminator_of_tokens": lambda log: some("a b c d")(log) and log[0] != "d",
    "wcp09_structured_discriminator": lambda log: some("a b c")(log) and log[0] != "c",
    "wcp10_arbitrary_cycles": exactly("a", "b", "a", "b", "a", "b"),
    "wcp11_implicit_termination": some("a late"),
    "wcp12_instances_without_synchronization": some("a 1 2 3 4"),
    "wcp13_instances_known_at_design_time": some("1 2 3", "a"),
    "wcp14_instances_known_at_run_time": some("1 2 3 4", "a"),
    "wcp15_instances_unknown_in_advance": some("1 2 3 4", "a"),
    "wcp16_deferred_choice": lambda log: log in (["a", "c"], ["b", "c"]),
    "wcp17_interleaved_parallel_routing": lambda log: apart(log, "a", "b", "c"),
    "wcp18_milestone": lambda log: log in (["closed"], ["changed", "closed"], ["changed"]),
    "wcp19_cancel_activity": exactly("a", "b"),
    "wcp20_cancel_case": lambda log: log in ([], ["b"]),
    "wcp21_structured_loop": exactly("a", "a", "a"),
    "wcp22_recursion": lambda log: log in (["3"], ["2"], ["1"], ["0"]),
    "wcp23_transient_trigger": exactly("a"),
    "wcp24_persistent_trigger": exactly("a"),
    "wcp25_cancel_region": some("a b c"),
    "wcp26_cancel_instances": exactly("b"),
    "wcp27_complete_instances": lambda log: log[-1] == "b" and set(log[:-1]) <= {"a"} and len(log) <= 5,
    "wcp28_blocking_discriminator": lambda log: sorted(log[:2]) == sorted(log[2:]) == ["a", "b"],
    "wcp29_cancelling_discriminator": exactly("a", "c"),
    "wcp29_cancelling_discriminator_of_tokens": exactly("a", "d"),
    "wcp30_structured_partial_join": lambda log: some("a b late c")(log) and log.index("c") >= 2,
    "wcp31_blocking_partial_join": lambda log: (
        some("x x y y z z d d")(log) and after(log, "d", lambda b: len({*b}) > 1, lambda b: of_each(1, "xyz")(b) and len(b) > 5)
    ),
    "wcp32_cancelling_partial_join": some("a b", "c"),
    "wcp33_generalised_and_join": lambda log: (
        some("x x x y y y d d d")(log) and after(log, "d", of_each(1, "xy"), of_each(2, "xy"), of_each(3, "xy"))
    ),
    "wcp34_static_partial_join_of_instances": lambda log: 2 <= log.count("i") <= 4 and log.index("a") >= 2,
    "wcp35_cancelling_partial_join_of_instances": lambda log: log.index("a") >= 2 and log.count("i") <= 4,
    "wcp36_dynamic_partial_join_of_instances": lambda log: log.index("a") >= 2 and log.count("i") <= 3,
    "wcp37_acyclic_synchronizing_merge": exactly("a", "b", "m"),
    "wcp38_general_synchronizing_merge": some("a c c c", "m"),
    "wcp39_critical_section": lambda log: some("x y a1 a2 b1 b2")(log) and apart(log, "a", "b"),
    "wcp41_thread_merge": exactly("t", "t", "t", "t", "m"),
    "wcp42_thread_split": lambda log: some("s t t t u u u")(log) and after(log, "u", *(of_each(n, "t") for n in (1, 2, 3))),
    "wcp43_explicit_termination": exactly("a"),
}
ENDS = {"wcp20_cancel_case": "cancelled"}


def test_every_document_says_what_holds() -> None:
    assert {p.stem for p in FOLDER.glob("*.yaml")} == HOLDS.keys()


@pytest.mark.parametrize("name", HOLDS)
def test_it_runs_as_the_pattern_says(name: str) -> None:
    definition = load(FOLDER / f"{name}.yaml", [note])
    ended: list[str] = []
    worlds: list[World] = []

    def services() -> dict[Any, Any]:
        worlds.append(World())
        return {World: worlds[-1]}

    def check(found: Ended) -> str | None:
        ended.append(found.status)
        if "activity_lost" in found.events and found.status == "failed":
            return None  # six workers in a row were lost with it
        if found.status != ENDS.get(name, "completed"):
            return f"{found.status}: {found.why}"
        log = worlds[-1].logs.get(found.id, [])
        if name == "wcp22_recursion" and len(found.data["log"]) != 4 - found.data["n"]:
            return f"the children told {found.data['log']}"
        return None if HOLDS[name](log) else f"log {log}"

    report = Simulation(
        (definition,), {}, services=services, check=check, instances=2, signals_at_most=4, faults=FAULTS, name=name
    ).run(SEEDS)
    assert not report.broken, report
    assert ended.count(ENDS.get(name, "completed")) > len(SEEDS)
    assert definition.svg().startswith("<svg")
