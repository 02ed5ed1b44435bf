"""One package a door of `orchestrator.ports`; one library a module."""
