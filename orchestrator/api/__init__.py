"""The REST API and the event stream: what the controller knows, over HTTP. Routes by noun, one file each."""

from orchestrator.api.application import create_app
from orchestrator.api.desk import AskedOrder, ClockInfo, Desk, DeskRefusalError, Event, Readiness
from orchestrator.api.guard import KeyRequiredError, require_key_unless_loopback
from orchestrator.api.routes.events import EventHub

__all__ = [
    "AskedOrder",
    "ClockInfo",
    "Desk",
    "DeskRefusalError",
    "Event",
    "EventHub",
    "KeyRequiredError",
    "Readiness",
    "create_app",
    "require_key_unless_loopback",
]
