"""The sections of the site file that say where a meter of power that comes by is read."""

from typing import Annotated, Literal

from pydantic import Field

from orchestrator.domain.metering.points import RegisterType
from orchestrator.settings.sections.quantities import Section, Text


class RegisterSection(Section):
    """Where one figure is in the meter's Modbus map."""

    address: Annotated[
        int,
        Field(
            alias="register",  # pydantic's models have a method of this name
            ge=0,
            le=65_535,
            description="Address as it is sent, from 0: a manual's 40001 or 30001 is 0.",
        ),
    ]
    type: Annotated[RegisterType, Field(description="Type of the figure.")]
    scale: Annotated[
        float, Field(gt=0, le=1e9, description="What a count of it is: W for power, Wh for energy; 1000 for kW or kWh.")
    ]
    word_order: Annotated[
        Literal["big", "little"], Field(description="Whether the first of several registers is the highest or lowest.")
    ] = "big"
    kind: Annotated[Literal["holding", "input"], Field(description="Function code 3 or 4.")] = "holding"


class ModbusSection(Section):
    """A meter that is asked by Modbus TCP."""

    host: Annotated[Text, Field(description="Name or address of the meter or its gateway.")]
    port: Annotated[int, Field(ge=1, le=65_535, description="TCP port.")] = 502
    unit: Annotated[int, Field(ge=0, le=255, description="Unit id behind that address.")] = 1
    preset: Annotated[
        Literal["sunspec"] | None,
        Field(description="A map that is known: sunspec finds the meter's model (201 to 204, 211 to 214) by itself."),
    ] = None
    power: Annotated[RegisterSection | None, Field(description="Power now, where there is no preset.")] = None
    energy: Annotated[RegisterSection | None, Field(description="Energy so far; it may be left out.")] = None
    reversed: Annotated[bool, Field(description="The meter counts consumption as export.")] = False


class MeterSeriesSection(Section):
    """A meter whose series come with those of the devices."""

    meter: Annotated[Text, Field(description="Value of the label `meter` of its series.")]


class MeterSection(Section):
    """A meter of power that comes by, read in one of two ways."""

    series: Annotated[MeterSeriesSection | None, Field(description="By an exporter, as the devices are.")] = None
    modbus: Annotated[ModbusSection | None, Field(description="By Modbus TCP.")] = None
