"""Durable workflows for Python: a workflow is data, a decision is a pure function, a durable step is one commit."""
from stepkeel.authoring.activity import activity
from stepkeel.authoring.context import Context
from stepkeel.authoring.machine import State, Workflow, any_of
from stepkeel.authoring.node import delay, log, transform, until, wait
from stepkeel.authoring.signal import Signal
from stepkeel.model.outcome import Break, Cancel, Complete, Continue, Fail, Terminate, TryAgain, Wait
from stepkeel.model.policy import Retry
