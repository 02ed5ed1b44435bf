"""What somebody asks to be made of parked energy or hash, held against what is on record."""

from math import isclose

from orchestrator.accounting.settlement import Asked
from orchestrator.accounting.unaccounted import Parked, Resolution, ResolutionError, parked_of
from orchestrator.ports import Store


def done_before(store: Store, asked: Asked) -> Resolution | None:
    """What came of the same request before. ResolutionError where its id is that of another one."""
    done = store.resolution(asked.id)
    if done is not None and not asked.is_what(done):
        raise ResolutionError(f"{asked.id} is another resolution, of {done.meter} by {done.person}")
    return done


def parked_for(store: Store, asked: Asked, seen: float | None) -> Parked:
    """What is parked of the meter that is meant; ResolutionError where it is nothing, or something else than was seen.

    `seen` is what whoever asks has seen of it, in the meter's unit; None: whatever it is.
    """
    parked = next((it for it in parked_of(store.parked()) if it.meter == asked.meter), None)
    if parked is None:
        raise ResolutionError(f"nothing is parked of {asked.meter!r}")
    if seen is not None and not isclose(seen, parked.amount, rel_tol=1e-9, abs_tol=1e-12):
        raise ResolutionError(
            f"{parked.amount!r} {parked.unit} are parked of {asked.meter} by now, not {seen!r}: look again"
        )
    return parked
