"""`python -m orchestrator.cli` is the `wattshift` command."""

from orchestrator.cli.app import main

main()
