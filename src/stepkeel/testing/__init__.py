"""For testing workflows: activities without an engine, decisions without activities, whole runs under a virtual clock,

and a fleet with faults."""

from stepkeel.testing.clock import VirtualClock
from stepkeel.testing.context import context
from stepkeel.testing.harness import Harness, HarnessInstance
from stepkeel.testing.route import Route, route
from stepkeel.testing.scenario import Scenario
from stepkeel.testing.simulation.simulate import Simulation, SimulationFailed, simulate

__all__ = [
    "Harness",
    "HarnessInstance",
    "Route",
    "Scenario",
    "Simulation",
    "SimulationFailed",
    "VirtualClock",
    "context",
    "route",
    "simulate",
]
