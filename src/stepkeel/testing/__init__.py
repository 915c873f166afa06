"""For testing workflows: activities without an engine, decisions without activities, whole runs under a virtual clock."""

from stepkeel.testing.clock import VirtualClock
from stepkeel.testing.context import context
from stepkeel.testing.harness import Harness, HarnessInstance
from stepkeel.testing.route import Route, route
from stepkeel.testing.scenario import Scenario

__all__ = ["Harness", "HarnessInstance", "Route", "Scenario", "VirtualClock", "context", "route"]
