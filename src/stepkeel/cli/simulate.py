"""`stepkeel simulate`: explore crashes and races of the engine's own definitions, or of yours."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from cyclopts import App, Parameter

from stepkeel.cli.document import ActivitiesOption, definition_in, is_document
from stepkeel.cli.output import print_json, say
from stepkeel.cli.session import JsonOption, load_object, read_json
from stepkeel.errors import BadRequest
from stepkeel.testing.simulation.builtin import BUILTIN
from stepkeel.testing.simulation.simulate import Broken, Report, Simulation, simulation_of

__all__ = ["add_to"]


def add_to(app: App) -> None:
    app.command(simulate)


def simulate(
    target: Annotated[str | None, Parameter(help="module:Class, module:simulation, a document; default: built-in ones")] = None,
    /,
    *,
    seeds: Annotated[int, Parameter(help="how many seeds, shared among the definitions")] = 1_000,
    first: Annotated[int, Parameter(help="the first of them")] = 0,
    seed: Annotated[int | None, Parameter(help="only this one")] = None,
    fault: Annotated[list[str] | None, Parameter(negative=(), help="with --seed: only these of its faults, as kind:n")] = None,
    workers: Annotated[int | None, Parameter(help="worker processes in each run")] = None,
    input: Annotated[str | None, Parameter(help="of a document: JSON, or @file; default: made up from its schema")] = None,
    activities: ActivitiesOption = None,
    json: JsonOption = False,
) -> int:
    """Run workflows on a simulated fleet with crashes, lost answers, pauses, drifting clocks. Exit code 1 if anything breaks.

    A seed that breaks something is made small and told as a story; `--seed N` tells it again. Of a class alone the
    activities do nothing; a stepkeel.testing.Simulation says which services or stand-ins they run with.
    """
    if seeds < 1 or (seed is not None and seed < 0) or first < 0:
        given = f"--seeds {seeds} --first {first}" if seed is None else f"--seed {seed}"
        raise BadRequest(given, remedy="whole numbers, not negative, at least one seed")
    if fault and seed is None:
        raise BadRequest("--fault without --seed", remedy="faults are counted within one seed")
    chosen = BUILTIN if target is None else (_simulation(target, input, activities),)
    if workers is not None:
        chosen = tuple(replace(each, workers=workers) for each in chosen)
    if seed is not None and fault:
        return _again(chosen, seed, fault, json=json)
    reports: list[Report] = []
    for n, each in enumerate(chosen):
        mine = range(seed, seed + 1) if seed is not None else range(first + n, first + seeds, len(chosen))
        reports.append(each.run(mine))
        if not json:
            say(str(reports[-1]))
    if json:
        print_json([_plain(r) for r in reports])
    return 1 if any(r.broken for r in reports) else 0


def _simulation(target: str, input: str | None, activities: list[str] | None) -> Simulation:
    """What is named: of a document one whose activities are pretended."""
    if is_document(target):
        data = read_json(input, "--input") if input else None
        return Simulation((definition_in(target, activities),), data, pretend=True)
    if input or activities:
        raise BadRequest("--input and --activities are of documents", remedy="a stepkeel.testing.Simulation says its data itself")
    return simulation_of(load_object(target, "workflow", "module:Class"), target)


def _again(chosen: tuple[Simulation, ...], seed: int, faults: list[str], *, json: bool) -> int:
    found = [broken for each in chosen if (broken := each.again(seed, faults)) is not None]
    if json:
        print_json([_told(b) for b in found])
    else:
        for broken in found:
            say(str(broken))
        if not found:
            say(f"seed {seed} with {', '.join(faults)}: nothing broke")
    return 1 if found else 0


def _plain(report: Report) -> dict[str, object]:
    return {
        "simulation": report.title, "seeds": report.runs, "seconds": round(report.seconds, 3), "steps": report.steps,
        "seeds_per_second": round(report.runs / report.seconds, 1) if report.seconds else None,
        "faults": dict(report.faults), "statuses": dict(report.statuses), "broken": [_told(b) for b in report.broken],
    }  # fmt: skip


def _told(broken: Broken) -> dict[str, object]:
    return {
        "simulation": broken.title, "seed": broken.seed, "code": broken.code, "violation": str(broken.violation),
        "faults": list(broken.faults),
        "story": [{"at": at / 1e6, "who": who, "what": text} for at, who, text in broken.last],
    }  # fmt: skip
