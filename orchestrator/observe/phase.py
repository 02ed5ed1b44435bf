"""Phases of open jobs as numbers: what columns hold and compiled code compares."""

from enum import IntEnum


class Phase(IntEnum):
    WAITING = 0
    RUNNING = 1
    STOPPING = 2
    PAUSED = 3
