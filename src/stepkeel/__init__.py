"""Durable workflows for Python: a workflow is data, a decision is a pure function, a durable step is one commit."""

from stepkeel.authoring.activity import activity
from stepkeel.authoring.concurrent import Join, Own, for_each, parallel, spawn
from stepkeel.authoring.context import Context
from stepkeel.authoring.during import at, branches_open, children, done, during, size, started, visits
from stepkeel.authoring.family import child
from stepkeel.authoring.flow import PartialJoin, ThreadMerge, ThreadSplit, flow
from stepkeel.authoring.graph import Step, graph, step
from stepkeel.authoring.hold import hold
from stepkeel.authoring.machine import Workflow
from stepkeel.authoring.nested import add_items, machine, pick, scope, stop
from stepkeel.authoring.node import choice, delay, emit, log, loop, tagged, transform, until, wait, when
from stepkeel.authoring.people import approval, task
from stepkeel.authoring.pipeline import Pipeline
from stepkeel.authoring.saga import Saga
from stepkeel.authoring.signal import Signal
from stepkeel.authoring.state import Anywhere, State, any_of
from stepkeel.authoring.step import Confident
from stepkeel.client import Blocking, Client
from stepkeel.connectors.load import load
from stepkeel.engine.instance import Instance
from stepkeel.engine.result import Receipt, Result
from stepkeel.errors import (
    ExternalServiceError,
    PermanentError,
    ResourceExhausted,
    StepkeelError,
    TransientError,
)
from stepkeel.facade import Engine
from stepkeel.model.calendar import Calendar
from stepkeel.model.child import ChildResult
from stepkeel.model.join import Arrivals, Paths
from stepkeel.model.message import Message
from stepkeel.model.outcome import Break, Cancel, Complete, Continue, Fail, Terminate, TryAgain, Wait
from stepkeel.model.policy import Breaker, Limit, Retry
from stepkeel.model.reducer import Append, Merge, Sum
from stepkeel.model.run import Run
from stepkeel.model.task import Verdict, Vote
from stepkeel.model.tier import Tier
from stepkeel.runtime.behaviour import Chaos, Invocation
from stepkeel.runtime.binding import scoped
from stepkeel.runtime.secret import Secrets
from stepkeel.runtime.settings import Settings
from stepkeel.store.keyring import Keyring

__all__ = [
    "Anywhere",
    "Append",
    "Arrivals",
    "Blocking",
    "Break",
    "Breaker",
    "Calendar",
    "Cancel",
    "Chaos",
    "ChildResult",
    "Client",
    "Complete",
    "Confident",
    "Context",
    "Continue",
    "Engine",
    "ExternalServiceError",
    "Fail",
    "Instance",
    "Invocation",
    "Join",
    "Keyring",
    "Limit",
    "Merge",
    "Message",
    "Own",
    "PartialJoin",
    "Paths",
    "PermanentError",
    "Pipeline",
    "Receipt",
    "ResourceExhausted",
    "Result",
    "Retry",
    "Run",
    "Saga",
    "Secrets",
    "Settings",
    "Signal",
    "State",
    "Step",
    "StepkeelError",
    "Sum",
    "Terminate",
    "ThreadMerge",
    "ThreadSplit",
    "Tier",
    "TransientError",
    "TryAgain",
    "Verdict",
    "Vote",
    "Wait",
    "Workflow",
    "activity",
    "add_items",
    "any_of",
    "approval",
    "at",
    "branches_open",
    "child",
    "children",
    "choice",
    "delay",
    "done",
    "during",
    "emit",
    "flow",
    "for_each",
    "graph",
    "hold",
    "load",
    "log",
    "loop",
    "machine",
    "parallel",
    "pick",
    "scope",
    "scoped",
    "size",
    "spawn",
    "started",
    "step",
    "stop",
    "tagged",
    "task",
    "transform",
    "until",
    "visits",
    "wait",
    "when",
]
