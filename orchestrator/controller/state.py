"""What a controller keeps between rounds."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from orchestrator.accounting.settlement import Books
from orchestrator.dispatch.ramp import NO_RAMP, Ramp
from orchestrator.domain.decision import Breach, BreachKind, Decision, Outcome
from orchestrator.domain.limits import Curtailment
from orchestrator.domain.market import PriceBook
from orchestrator.domain.target import Target
from orchestrator.observe.proof.verify import Pending
from orchestrator.observe.readings.standstill import Watches
from orchestrator.ports import Memory, ObservationRecord


@dataclass(frozen=True, slots=True)
class Unmoved:
    """A target whose moves are accepted and change nothing."""

    pending: Pending
    """The last of them."""
    tries: int
    until: datetime
    """It is left as it is until then."""


@dataclass(slots=True)
class State:
    """What is kept between rounds. A round works on a copy."""

    books: Books
    curtailments: dict[str, Curtailment]
    breaches: dict[tuple[BreachKind, str], Breach]
    last: ObservationRecord | None
    unsettled: tuple[tuple[Decision, tuple[Outcome, ...]], ...]
    pending: dict[Target, Pending]
    late: dict[Target, Pending]
    unmoved: dict[Target, Unmoved]
    book: PriceBook
    """Of prices, what is on record."""
    last_price: tuple[datetime, float] | None = None
    ramp: Ramp = NO_RAMP
    watches: Watches = field(default_factory=dict)
    """Of the devices' readings; replaced as a whole each round."""

    @staticmethod
    def of(memory: Memory) -> "State":
        return State(
            books=Books(
                marks={(mark.metric, mark.subject): mark for mark in memory.marks},
                jobs={record.job: record for record in memory.jobs},
                charged={line.key: line for line in memory.charged},
                reconciled={line.key: line for line in memory.reconciled},
            ),
            curtailments={order.id: order for order in memory.curtailments},
            breaches={(breach.kind, breach.subject): breach for breach in memory.breaches},
            last=memory.last_observation,
            unsettled=memory.unsettled,
            pending={},
            late={},
            unmoved={},
            book=PriceBook.of(memory.prices),
        )

    def copy(self) -> "State":
        return replace(
            self,
            curtailments=dict(self.curtailments),
            breaches=dict(self.breaches),
            pending=dict(self.pending),
            late=dict(self.late),
            unmoved=dict(self.unmoved),
        )
