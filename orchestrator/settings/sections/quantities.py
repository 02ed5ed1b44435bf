"""What a site file is made of: sections, and kinds of values, each with its unit and the range it can be in."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    # strict: "5" is no number and true is no 1; a whole number is a fine float
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


Name = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        max_length=40,  # Kubernetes allows 63; pods and nodes add a suffix
        json_schema_extra={"allowed": "a Kubernetes name (RFC 1123 label): a-z, 0-9 and - inside, up to 40 characters"},
    ),
]
Namespace = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        max_length=63,
        json_schema_extra={"allowed": "a Kubernetes name (RFC 1123 label): a-z, 0-9 and - inside, up to 63 characters"},
    ),
]
Text = Annotated[str, Field(min_length=1, max_length=200)]
FilePath = Annotated[str, Field(min_length=1, max_length=1000)]
HttpUrl = Annotated[
    str,
    Field(
        pattern=r"^https?://[^\s/]+\S*$", max_length=1000, json_schema_extra={"allowed": "an http:// or https:// URL"}
    ),
]
Timezone = Annotated[str, Field(min_length=1, max_length=60)]

Count = Annotated[int, Field(ge=1, le=100_000)]
SiteKw = Annotated[float, Field(gt=0, le=10_000_000, json_schema_extra={"unit": "kW"})]
DeviceW = Annotated[float, Field(gt=0, le=1_000_000, json_schema_extra={"unit": "W"})]
Temperature = Annotated[float, Field(ge=-60, le=70, json_schema_extra={"unit": "degC"})]
Hashprice = Annotated[float, Field(ge=0, le=10_000, json_schema_extra={"unit": "USD per PH/s per day"})]
Price = Annotated[float, Field(ge=0, le=10_000, json_schema_extra={"unit": "USD/MWh"})]
Seconds = Annotated[float, Field(gt=0, le=604_800, json_schema_extra={"unit": "s"})]
SecondsOrNone = Annotated[float, Field(ge=0, le=604_800, json_schema_extra={"unit": "s"})]
