"""The verbs of an engine over REST, for programs that are elsewhere."""

from stepkeel.client.blocking import Blocking
from stepkeel.client.client import Client

__all__ = ["Blocking", "Client"]
