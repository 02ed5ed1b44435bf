"""When agents fall asleep whose lease ran out: one after the other, each at a moment that its name gives."""

from zlib import crc32


def lapse_s(rack: str, over_s: float) -> float:
    """Seconds after the lease, from 0 to `over_s`, the same each time; racks of a fleet are spread over all of it."""
    return crc32(rack.encode()) / 2.0**32 * over_s
