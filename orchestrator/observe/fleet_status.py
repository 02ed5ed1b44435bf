"""One fleet as it is: what its racks measure against what was asked of them, which are silent and which are stuck."""

from dataclasses import replace
from datetime import datetime

from orchestrator.domain.observation import Metric, Quality, Reading, Telemetry
from orchestrator.domain.site.machines import SLEEP, Fleet
from orchestrator.domain.site.policies import Controls
from orchestrator.domain.site.site import Site
from orchestrator.domain.snapshot import FleetStatus, Lowered
from orchestrator.domain.units import HASHES_PER_TH
from orchestrator.domain.unread import NOTHING_UNREAD, Basis, Unread
from orchestrator.domain.work import FleetView
from orchestrator.observe.readings.silence import Silence
from orchestrator.observe.readings.silent_power import of_rack

SETTLED_SHARE = 0.9
"""A rack that draws less than this share of its setpoint's nameplate is on its way up and counts at nameplate."""
ASLEEP_SHARE = 0.25
"""A rack that is asleep and draws more than this share of its strongest mode's power does not sleep."""


def fleet_status(
    site: Site,
    fleet: Fleet,
    view: FleetView,
    telemetry: Telemetry,
    silence: Silence,
    before: FleetStatus | None,
    now: datetime,
) -> FleetStatus:
    """`before`: as it was in the snapshot before, for what outlasts one: the share drawn, what was asked and not seen
    since, racks that are stuck."""
    powers, rates = telemetry.readings(Metric.ASIC_POWER), telemetry.readings(Metric.ASIC_HASHRATE)
    racks = _Racks(site.controls, fleet, view, silence, before, now)
    for rack, mode in view.rack_modes.items():
        reading = powers.get(rack)
        if rack in silence.silent:
            racks.take_silent(rack, mode, reading)
        else:
            assert reading is not None, "it is not silent"
            racks.take_seen(rack, mode, reading, rates.get(rack))
    return racks.status()


class _Racks:
    """The racks gone through so far. Sums are kW."""

    def __init__(
        self,
        controls: Controls,
        fleet: Fleet,
        view: FleetView,
        silence: Silence,
        before: FleetStatus | None,
        now: datetime,
    ) -> None:
        self._fleet, self._view, self._silence, self._before, self._now = fleet, view, silence, before, now
        self._share = before.draw_share if before is not None else 1.0
        self._lowered, self._raised = _asked(fleet, view, before, self._share, now)
        self._down_within = controls.down_within
        self._rest_from = max(view.last_up_at + controls.up_within, view.last_down_at + controls.down_within)
        self._at_rest = now >= self._rest_from
        self._rack_kw = {mode: fleet.rack_kw(mode) for mode in set(view.rack_modes.values())}
        self._strongest_kw, self._asleep_kw = fleet.rack_nameplate_kw, fleet.rack_kw(SLEEP)
        self._defied_before = before.defiant if before is not None else frozenset()
        self._counted = self._committed = self._measured = self._excess = 0.0
        self._settled = self._settled_nameplate = self._unmoved = self._untrusted = self._assumed = 0.0
        self._hashrate, self._hashing = 0.0, False
        self._defiant: set[str] = set()
        self._owing: set[str] = set()
        self._efficiency: dict[str, float] = {}
        self._read: dict[str, Reading] = {}
        self._unread: dict[Basis, Unread] = {}
        self._claimed: dict[str, float] = {}

    def take_silent(self, rack: str, mode: str, reading: Reading | None) -> None:
        """At the most that it was asked to draw since it was last read, at nameplate where that says nothing."""
        setpoint_kw, asked = self._rack_kw[mode], self._lowered.get(rack)
        last_w = reading.believed if reading is not None else None
        if reading is not None and reading.quality is Quality.SUSPECT and reading.value is not None:
            self._claimed[rack] = reading.value / 1000.0
        last_kw = last_w / 1000.0 if last_w is not None else 0.0
        self._measured += max(last_kw, setpoint_kw) if rack in self._raised else last_kw
        at_rest = reading is not None and reading.at is not None and reading.at >= self._rest_from
        allowed_kw, most_kw = of_rack(setpoint_kw, self._share, last_kw if at_rest else 0.0, asked)
        defies = rack in self._defied_before and (asked is not None or mode == SLEEP)
        if self._silence.on_trust and not defies:
            if asked is not None:
                self._lowered[rack] = replace(asked, at=self._now)  # nobody could have seen it follow
            # Chosen between as it was last seen to draw; what goes up beside it has to leave room for the most.
            self._assume(Basis.TRUST, allowed_kw if mode == SLEEP else setpoint_kw * self._share)
            self._committed += most_kw
            if mode == SLEEP:
                self._excess += allowed_kw - setpoint_kw
            return
        if defies:
            self._defiant.add(rack)
        elif asked is not None and self._now - asked.at >= self._down_within:
            self._owing.add(rack)  # a shed that nobody sees is not delivered
        unknown = defies or rack in self._silence.never_read
        if unknown:
            most_kw = self._strongest_kw
        self._assume(Basis.NAMEPLATE if unknown else Basis.SETPOINT, most_kw)
        self._committed += most_kw
        self._unmoved += most_kw
        self._untrusted += most_kw
        self._assumed += max(most_kw - self._asleep_kw, 0.0)

    def take_seen(self, rack: str, mode: str, reading: Reading, rate: Reading | None) -> None:
        """As measured; where the reading is of before it was asked up, at its setpoint."""
        assert reading.value is not None, "it is not silent"
        assert reading.at is not None, "it is not silent"
        self._read[rack] = reading
        setpoint_kw, measured_kw = self._rack_kw[mode], reading.value / 1000.0
        raised_at = self._raised.get(rack)
        if raised_at is not None and reading.at >= raised_at:
            del self._raised[rack]
            raised_at = None
        drawn_kw = measured_kw if raised_at is None else max(measured_kw, setpoint_kw)
        self._measured += drawn_kw
        parts_kw = reading.assumed / 1000.0
        self._counted += measured_kw - parts_kw
        if parts_kw > 0.0:
            self._assume(Basis.PARTS, parts_kw)
        if drawn_kw > measured_kw:
            self._assume(Basis.WAKING, drawn_kw - measured_kw)
        follows = self._follows(rack, mode, reading, measured_kw)
        if self._at_rest and follows and mode != SLEEP and measured_kw >= SETTLED_SHARE * setpoint_kw:
            self._settled += measured_kw
            self._settled_nameplate += setpoint_kw
            self._committed += measured_kw
        else:
            self._committed += max(measured_kw, setpoint_kw)
        if not follows:
            self._defiant.add(rack)
            self._unmoved += self._strongest_kw
            self._assumed += max(self._strongest_kw - measured_kw, 0.0)
            self._excess += max(measured_kw - self._strongest_kw, 0.0)
        elif self._at_rest and mode == SLEEP:
            self._excess += max(measured_kw - setpoint_kw, 0.0)
        if rate is not None and (hash_hs := rate.believed) is not None:
            self._hashing = True
            self._hashrate += hash_hs
            if hash_hs > 0.0:
                self._efficiency[rack] = reading.value / (hash_hs / HASHES_PER_TH)

    def _assume(self, basis: Basis, kw: float) -> None:
        """Count what nobody has measured of one rack."""
        self._counted += kw
        self._unread[basis] = self._unread.get(basis, NOTHING_UNREAD) + Unread(1, kw)

    def _follows(self, rack: str, mode: str, reading: Reading, measured_kw: float) -> bool:
        """False where it did not go down when it was asked to, this time or before we were started."""
        asked = self._lowered.get(rack)
        if asked is None:
            asleep = self._at_rest and mode == SLEEP
            return not (asleep and measured_kw > ASLEEP_SHARE * self._strongest_kw)
        assert reading.at is not None, "it is not silent"
        if measured_kw <= asked.follows_below_kw and reading.at >= asked.at:
            del self._lowered[rack]
            return True
        return self._now - asked.at < self._down_within

    def status(self) -> FleetStatus:
        silence = self._silence
        return FleetStatus(
            fleet=self._fleet,
            view=self._view,
            counted_kw=self._counted,
            committed_kw=self._committed,
            # While a fleet moves its ratio says nothing, so the one before holds: else each move would set off another.
            draw_share=self._settled / self._settled_nameplate if self._settled_nameplate else self._share,
            hashrate_phs=self._hashrate / 1e15 if self._hashing else None,
            silent=silence.silent,
            stuck=frozenset(self._defiant | self._owing),
            lowered=self._lowered,
            excess_kw=self._excess,
            efficiency_j_per_th=self._efficiency,
            silent_kw=self._untrusted,
            readings=self._read,
            raised=self._raised,
            defiant=frozenset(self._defiant),
            never_read=silence.never_read,
            dark_since=silence.dark_since,
            on_trust=silence.silent - self._defiant if silence.on_trust else frozenset(),
            measured_kw=self._measured,
            unmoved_kw=self._unmoved,
            assumed_kw=self._assumed,
            unread=self._unread,
            claimed_kw=self._claimed,
        )


def _asked(
    fleet: Fleet, view: FleetView, before: FleetStatus | None, share: float, now: datetime
) -> tuple[dict[str, Lowered], dict[str, datetime]]:
    """Racks asked down and not seen to follow yet, and racks asked up and not read since: those of before, and those
    asked since the snapshot before."""
    if before is None:
        return {}, {}
    lowered, raised = dict(before.lowered), dict(before.raised)
    if before.view is view:
        return lowered, raised
    most = max(share, 1.0)
    for rack, mode in view.rack_modes.items():
        was_kw, is_kw = fleet.rack_kw(before.view.rack_modes.get(rack, mode)), fleet.rack_kw(mode)
        owed = lowered.get(rack)
        if is_kw < was_kw:
            from_kw = max(was_kw * most, owed.from_kw if owed is not None else 0.0)
            lowered[rack] = Lowered(now, (was_kw + is_kw) / 2.0 * most, from_kw)
            raised.pop(rack, None)
        elif is_kw > was_kw:
            raised[rack] = min(view.last_up_at, now)
            if owed is not None and owed.from_kw > is_kw * most:  # it was never seen to have gone down
                lowered[rack] = Lowered(now, (owed.from_kw + is_kw) / 2.0 * most, owed.from_kw)
            else:
                lowered.pop(rack, None)
    return lowered, raised
