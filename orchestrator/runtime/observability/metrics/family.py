"""What one metric family of the controller is."""

from dataclasses import dataclass
from enum import StrEnum

PREFIX = "wattshift_"


class Kind(StrEnum):
    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    INFO = "info"
    """A gauge that is always 1 and says something by its labels."""


@dataclass(frozen=True, slots=True)
class Label:
    name: str
    values: tuple[str, ...] = ()
    """Every value there is; empty where the site file or the version gives them."""


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family as Prometheus sees it. Each of its series also carries `site`."""

    name: str
    kind: Kind
    help: str
    labels: tuple[Label, ...] = ()
    unit: str = ""
    buckets: tuple[float, ...] = ()

    @property
    def base(self) -> str:
        """Its name without the ending that its kind adds."""
        return self.name.removesuffix("_total" if self.kind is Kind.COUNTER else "_info")

    @property
    def label_names(self) -> tuple[str, ...]:
        return ("site", *(label.name for label in self.labels))
