"""What the site file says of the series that telemetry is read from: `presets`, `labels`, `names`, `series`."""

from typing import Annotated, Literal

from pydantic import Field

from orchestrator.settings.sections.quantities import Section

Preset = Literal["wattshift-mock", "dcgm", "kepler", "kepler-0.9", "nvidia-smi", "pyasic-exporter"]
Quantity = Literal[
    "rack_power",
    "rack_energy",
    "rack_hashrate",
    "rack_hashes",
    "rack_temperature",
    "gpu_power",
    "node_power",
    "node_energy",
    "job_progress",
    "job_checkpoint",
    "meter_power",
    "meter_energy",
]
MetricName = Annotated[
    str,
    Field(
        pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$",
        max_length=200,
        json_schema_extra={"allowed": "a metric's name: letters, digits, _ and :, no digit first"},
    ),
]
LabelName = Annotated[
    str,
    Field(
        pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$",
        max_length=200,
        json_schema_extra={"allowed": "a label's name: letters, digits and _, no digit first"},
    ),
]
LabelValue = Annotated[str, Field(max_length=200)]
Selector = Annotated[
    str,
    Field(
        pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*(\{[^{}]*\})?$",
        max_length=1000,
        json_schema_extra={
            "allowed": "a metric's name, and labels in braces: anything else is always as new as the question"
        },
    ),
]
Expression = Annotated[str, Field(min_length=1, max_length=4000)]


class LabelSection(Section):
    """How a name is read from labels: a label's value, a part of it, or the same name for all."""

    label: Annotated[LabelName | None, Field(description="The label; left out where name is the same for all.")] = None
    pattern: Annotated[
        LabelValue | None,
        Field(description="Regular expression that the whole value matches; series with other values are left out."),
    ] = None
    name: Annotated[
        LabelValue | None, Field(description="The name, with \\1 for the pattern's first group; default: the value.")
    ] = None


class LabelsSection(Section):
    """Which labels name what."""

    fleet: Annotated[LabelSection | None, Field(description="Of racks: gives the fleet's name.")] = None
    rack: Annotated[LabelSection | None, Field(description="Of racks: gives rack-0, rack-1, ...")] = None
    node: Annotated[LabelSection | None, Field(description="Of nodes: gives the node's name.")] = None
    job: Annotated[LabelSection | None, Field(description="Of jobs: gives the job's name.")] = None
    meter: Annotated[LabelSection | None, Field(description="Of meters: gives what `series.meter` names.")] = None


class SeriesSection(Section):
    """One quantity of the racks, nodes or jobs. What is left out is as the preset has it."""

    quantity: Annotated[Quantity, Field(description="What is measured.")]
    only: Annotated[
        list[str] | None, Field(min_length=1, description="Fleets or pools that it is for; all if left out.")
    ] = None
    metric: Annotated[MetricName | None, Field(description="The exporter's metric.")] = None
    expr: Annotated[
        Expression | None, Field(description="PromQL in place of metric: one element a device, or a part of it.")
    ] = None
    timed_by: Annotated[
        Selector | None, Field(description="With expr: the series whose samples tell when it was measured.")
    ] = None
    seen: Annotated[
        MetricName | None, Field(description="Metric whose value says when the device was measured, unix s.")
    ] = None
    match: Annotated[
        dict[str, LabelValue] | None, Field(description="Only series with these labels too, for example mode: total.")
    ] = None
    labels: Annotated[LabelsSection | None, Field(description="Which labels name the device.")] = None
    part: Annotated[
        list[LabelName] | None, Field(description="Labels that tell the parts of a device apart: machine, gpu, mode.")
    ] = None
    combine: Annotated[
        Literal["one", "sum", "max", "last"] | None,
        Field(description="How the series of a device become its value; default with part: sum."),
    ] = None
    repeats: Annotated[
        bool | None, Field(description="Several series of one part say the same (MIG); the highest counts.")
    ] = None
    expected: Annotated[
        int | None,
        Field(ge=1, le=100_000, description="Parts of a device; default: machines of a rack, GPUs of a node."),
    ] = None
    node_overhead: Annotated[
        bool | None, Field(description="The parts are GPUs alone: add the pool's node_overhead_w.")
    ] = None
    unit: Annotated[LabelValue | None, Field(description="Unit of the series; default: that of the quantity.")] = None
    scale: Annotated[float | None, Field(gt=0, le=1e30, description="Factor on the series, after its unit.")] = None


class MappedSection(Section):
    """What a telemetry source of either kind says of its series."""

    presets: Annotated[
        list[Preset] | None,
        Field(
            min_length=1, max_length=6, description="Exporters of the site; of two with a quantity the later counts."
        ),
    ] = None
    match: Annotated[
        dict[str, LabelValue] | None, Field(description="Only series with these labels, for example site: texas.")
    ] = None
    labels: Annotated[LabelsSection | None, Field(description="Which labels name devices, for all series.")] = None
    names: Annotated[
        dict[str, str] | None,
        Field(description="What exporters call a node, or fleet/rack, and its name in this file."),
    ] = None
    series: Annotated[
        list[SeriesSection] | None, Field(max_length=1000, description="Where quantities are read, before presets.")
    ] = None
