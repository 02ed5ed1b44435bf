"""Every metric family of the controller: the one table from which it exports and `docs/metrics.md` is made."""

from types import MappingProxyType

from orchestrator.runtime.observability.metrics.families_decided import DECIDED
from orchestrator.runtime.observability.metrics.families_measured import MEASURED
from orchestrator.runtime.observability.metrics.family import PREFIX

SECTIONS = (*MEASURED, *DECIDED)
"""By heading."""
FAMILIES = MappingProxyType(
    {family.name.removeprefix(PREFIX): family for _, families in SECTIONS for family in families}
)
"""By name without the prefix."""
