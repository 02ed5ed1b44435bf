"""The options by which a program learns of the machines it simulates."""

import argparse
from datetime import timedelta

from orchestrator.domain.site.machines import Fleet, Mode


def add_fleet_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True)
    parser.add_argument("--machines", type=int, required=True, help="of one rack")
    parser.add_argument("--mode", type=_mode, action="append", required=True, help="name:watts:TH/s of one machine")
    parser.add_argument("--sleep-w", type=float, required=True, help="one machine asleep")
    parser.add_argument("--warm-up-s", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)


def fleet_of(options: argparse.Namespace, name: str, racks: int) -> Fleet:
    """The fleet that the options describe; what only the controller asks of one is left at zero."""
    modes = sorted(options.mode, key=lambda mode: mode.power_w)
    return Fleet(
        name=name,
        model=options.model,
        feeder="",
        racks=racks,
        machines_per_rack=options.machines,
        modes=tuple(modes),
        default_mode=modes[-1].name,
        sleep_w=options.sleep_w,
        warm_up=timedelta(seconds=options.warm_up_s),
        min_on=timedelta(0),
        min_off=timedelta(0),
    )


def _mode(text: str) -> Mode:
    try:
        name, power_w, hashrate_ths = text.split(":")
        return Mode(name, float(power_w), float(hashrate_ths))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not name:watts:TH/s") from None
