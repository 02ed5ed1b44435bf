"""The controller: `Controller` goes round, `Doors` are what it works through."""

from orchestrator.controller.doors import Doors
from orchestrator.controller.loop import VERIFY_EVERY, Controller, Policy

__all__ = ["VERIFY_EVERY", "Controller", "Doors", "Policy"]
