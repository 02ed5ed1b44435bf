"""The site file's keys: their types, units and ranges. JSON Schema for editors is made from these models.

Ranges are there to catch slips (a limit in W instead of kW, an age in ms); they are wider than any site.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from orchestrator.settings.sections.grid import FeederSection, GridSection
from orchestrator.settings.sections.quantities import (
    Count,
    DeviceW,
    FilePath,
    Hashprice,
    Name,
    Namespace,
    Seconds,
    SecondsOrNone,
    Section,
    Temperature,
    Text,
    Timezone,
)
from orchestrator.settings.sections.sources import HashpriceSection, PriceSection, TelemetrySection, WeatherSection


class CoolingPoint(Section):
    """PUE at one outdoor temperature."""

    temperature_c: Annotated[Temperature, Field(description="Outdoor temperature, degC.")]
    pue: Annotated[float, Field(ge=1, le=3, description="Site power over IT power at that temperature.")]


class CoolingSection(Section):
    """Overhead of cooling and power distribution."""

    pue_by_temperature: Annotated[
        list[CoolingPoint],
        Field(min_length=1, max_length=100, description="Ascending; linear between the points, flat beyond them."),
    ]


class ModeSection(Section):
    """An operating mode of one machine."""

    name: Name
    power_w: Annotated[DeviceW, Field(description="One machine at the wall, W.")]
    hashrate_ths: Annotated[
        float, Field(gt=0, le=100_000, description="One machine, TH/s.", json_schema_extra={"unit": "TH/s"})
    ]


class FleetSection(Section):
    """ASICs of one model under one Deployment; a rack is what one agent looks after."""

    name: Name
    model: Annotated[Text, Field(description="Vendor's model name, as the exporter shows it.")]
    feeder: Annotated[Name, Field(description="Name of the feeder it hangs on.")]
    racks: Annotated[Count, Field(description="Racks, each behind one agent.")]
    machines_per_rack: Annotated[Count, Field(description="Machines in a rack.")]
    default_mode: Annotated[Name, Field(description="The mode of the nameplate.")]
    modes: Annotated[list[ModeSection], Field(min_length=1, max_length=20, description="Ascending in power.")]
    sleep_w: Annotated[
        float, Field(ge=0, le=100_000, description="One machine asleep, W.", json_schema_extra={"unit": "W"})
    ]
    warm_up_s: Annotated[
        SecondsOrNone, Field(description="From wake-up to hashing, s: full power is drawn, nothing is hashed.")
    ]
    min_on_s: Annotated[SecondsOrNone, Field(description="Least time on after a power-up, s.")]
    min_off_s: Annotated[SecondsOrNone, Field(description="Least time off after a power-down, s.")]


class PoolSection(Section):
    """Like GPU nodes on one feeder."""

    name: Name
    gpu_model: Annotated[Text, Field(description="Model name as DCGM shows it.")]
    feeder: Annotated[Name, Field(description="Name of the feeder it hangs on.")]
    nodes: Annotated[Count, Field(description="Nodes.")]
    gpus_per_node: Annotated[int, Field(ge=1, le=1024, description="GPUs in a node.")]
    gpu_power_w: Annotated[DeviceW, Field(description="Full power limit of one GPU, W.")]
    gpu_min_power_w: Annotated[DeviceW, Field(description="Lowest power limit that the GPU accepts, W.")]
    gpu_idle_w: Annotated[DeviceW, Field(description="One idle GPU, W.")]
    node_overhead_w: Annotated[
        float,
        Field(
            ge=0,
            le=1_000_000,
            description="A node's power besides its GPUs, W: processors, memory, fans, network.",
            json_schema_extra={"unit": "W"},
        ),
    ]


class TenantSection(Section):
    """A customer and what was promised."""

    name: Name
    sla: Annotated[Literal["guaranteed", "flexible", "best-effort"], Field(description="SLA class.")]
    usd_per_gpu_h: Annotated[
        float, Field(ge=0, le=1000, description="Price of a GPU-hour, USD.", json_schema_extra={"unit": "USD/GPU-h"})
    ]
    credit_share: Annotated[
        float,
        Field(
            ge=0,
            le=10,
            description="Credited share of the price of the work not done at a job's deadline or, if it is guaranteed "
            "and interrupted, of all its work.",
        ),
    ]
    interruptions_per_hour: Annotated[
        int, Field(ge=0, le=10_000, description="Most interruptions over any hour, all its jobs together.")
    ]


class StaleSection(Section):
    """How old is too old for each input, and what is assumed then."""

    price_max_age_s: Annotated[
        SecondsOrNone, Field(description="How long a real-time price holds past its interval, s; then day-ahead.")
    ]
    price_fallback_usd_per_mwh: Annotated[
        float,
        Field(
            ge=-10_000,
            le=100_000,
            description="Assumed with neither a real-time nor a day-ahead price, USD/MWh.",
            json_schema_extra={"unit": "USD/MWh"},
        ),
    ]
    telemetry_max_age_s: Annotated[
        Seconds,
        Field(
            description="A device with an older power reading is silent: it counts at the most it was asked to draw, s."
        ),
    ]
    telemetry_hold_s: Annotated[
        SecondsOrNone,
        Field(description="How long the site is held as it is while the source of its readings is down, s."),
    ] = 900.0
    telemetry_safe_kw: Annotated[
        float | None,
        Field(
            ge=0,
            le=10_000_000,
            description="What it is then brought to, kW at the grid, never below what guaranteed jobs take; "
            "left out: just that.",
            json_schema_extra={"unit": "kW"},
        ),
    ] = None
    temperature_max_age_s: Annotated[Seconds, Field(description="An older temperature is replaced, s.")]
    temperature_assume_c: Annotated[Temperature, Field(description="By this one, degC.")]
    hashprice_max_age_s: Annotated[Seconds, Field(description="An older hashprice is replaced, s.")]
    hashprice_assume_usd_per_ph_day: Annotated[Hashprice, Field(description="By this one, USD per PH/s per day.")]
    plan_max_assumed_share: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="No plan is made while devices with more than this share of the site's nameplate power have no "
            "fresh reading; 1: one is made whatever is seen.",
        ),
    ] = 0.1


class ControlsSection(Section):
    """How the controller paces itself."""

    tick_s: Annotated[float, Field(ge=0.1, le=3600, description="Time between two looks, s.")]
    verify_within_s: Annotated[Seconds, Field(description="By then a move must show in the meter, s.")]
    verify_up_s: Annotated[
        Seconds | None, Field(description="The same for power-ups, s; left out: verify_within_s.")
    ] = None
    verify_down_s: Annotated[
        Seconds | None, Field(description="The same for power-downs, s; left out: verify_within_s.")
    ] = None
    lease_s: Annotated[Seconds, Field(description="Agents without a renewed setpoint sleep after this, s.")]
    lapse_over_s: Annotated[
        SecondsOrNone, Field(description="Over which they then fall asleep one after the other, s; 0: all at once.")
    ] = 0.0
    price_persistence_s: Annotated[
        Seconds, Field(description="How long the price now is taken to last when a restart is weighed, s.")
    ]


class MockSection(Section):
    """The devices are simulated, as real processes on this machine. Leave out for a real site."""

    seed: Annotated[int, Field(ge=0, le=2**31 - 1, description="Seed of the simulated devices.")] = 1
    nodes_per_exporter: Annotated[
        int, Field(ge=1, le=1000, description="GPU nodes that one exporter process stands for.")
    ] = 8


class KubernetesSection(Section):
    """The workloads are objects of a Kubernetes cluster. Leave out for a mock site."""

    name: Annotated[Name, Field(description="What the controller's own objects are called after.")] = "wattshift"
    namespace: Annotated[
        Namespace | None,
        Field(description="Of all objects; default: the controller's own, outside a pod that of the context."),
    ] = None
    context: Annotated[
        Text | None, Field(description="Of the kubeconfig, which is then used also in a pod; default: its current one.")
    ] = None


class SiteFile(Section):
    """A site with one grid connection, its prices and its promises. Powers in kW or W, durations in s, as named."""

    name: Name
    timezone: Annotated[Timezone, Field(description="IANA name, for example America/Chicago.")]
    grid: GridSection
    feeders: Annotated[list[FeederSection], Field(min_length=1, max_length=1000)]
    cooling: CoolingSection
    fleets: Annotated[list[FleetSection], Field(max_length=1000, description="Mining fleets.")] = Field(default=[])
    gpu_pools: Annotated[list[PoolSection], Field(max_length=1000, description="GPU pools.")] = Field(default=[])
    tenants: Annotated[list[TenantSection], Field(max_length=1000)] = Field(default=[])
    prices: PriceSection
    hashprice: HashpriceSection
    weather: WeatherSection
    telemetry: TelemetrySection
    stale: StaleSection
    controls: ControlsSection
    state_dir: Annotated[
        FilePath, Field(description="Folder of the controller's state, relative to the site file.")
    ] = ".wattshift"
    store_url: Annotated[
        Text | None,
        Field(description="SQLAlchemy URL, sqlite:/// or postgresql+...://; default: SQLite in state_dir."),
    ] = None
    mock: MockSection | None = None
    kubernetes: KubernetesSection | None = None


def settings_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the site file, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **SiteFile.model_json_schema()}
