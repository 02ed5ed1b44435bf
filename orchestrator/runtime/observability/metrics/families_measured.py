"""Metric families of what is measured: the process, power, meters, fleets, prices and other inputs."""

from orchestrator.domain.market import PRICE_BASES
from orchestrator.runtime.observability.metrics.family import PREFIX, Family, Kind, Label
from orchestrator.runtime.observability.metrics.vocabulary import (
    DEVICES_LABEL,
    FEEDER_LABEL,
    FLEET_LABEL,
    INPUT_LABEL,
    IT_USE_LABEL,
    METER_LABEL,
    POOL_LABEL,
    TENANT_LABEL,
    USE_LABEL,
    gauge,
    one_of,
)

MEASURED: tuple[tuple[str, tuple[Family, ...]], ...] = (
    (
        "The process",
        (
            Family(PREFIX + "build_info", Kind.INFO, "The running version.", (Label("version"),)),
            Family(
                PREFIX + "site_info",
                Kind.INFO,
                "Whether site time is simulated, and how many of its seconds pass in one on the wall.",
                (one_of("simulated", ("true", "false")), Label("speed")),
            ),
            gauge("site_speed_ratio", "The same speed as a number: 1 on a real site.", unit="ratio"),
            gauge("leader", "1 where this controller leads, 0 where it stands by; on a cluster only."),
            gauge(
                "store_shared",
                "1 where the store lets two replicas run, so that a standby is expected; on a cluster only.",
            ),
        ),
    ),
    (
        "Power against limits",
        (
            gauge(
                "power_watts",
                "Power by use, by devices. Mining and HPC are IT power, overhead is cooling and distribution by PUE.",
                USE_LABEL,
                unit="watts",
            ),
            gauge("setpoint_watts", "IT power that the setpoints in force should draw.", IT_USE_LABEL, unit="watts"),
            gauge(
                "grid_power_watts",
                "Power by the connection's meter if fresh, else of all uses.",
                unit="watts",
            ),
            gauge(
                "power_assumed_watts",
                "Of the power at the grid connection, what no fresh reading has measured.",
                unit="watts",
            ),
            gauge(
                "power_suspect_watts",
                "What suspect readings of devices claim, before cooling; it is counted nowhere.",
                unit="watts",
            ),
            gauge("grid_limit_watts", "The cap on the grid connection in force, orders included.", unit="watts"),
            gauge("grid_connection_watts", "The grid connection's limit by the site file.", unit="watts"),
            gauge(
                "feeder_power_watts",
                "Power by its meter if fresh, else by its devices.",
                FEEDER_LABEL,
                unit="watts",
            ),
            gauge(
                "feeder_power_assumed_watts",
                "Of that, what no fresh reading has measured.",
                FEEDER_LABEL,
                unit="watts",
            ),
            gauge("feeder_limit_watts", "The feeder's limit.", FEEDER_LABEL, unit="watts"),
            gauge(
                "tenant_power_watts",
                "IT power of its running jobs: their share, by GPUs, of what their pool measures.",
                TENANT_LABEL,
                unit="watts",
            ),
        ),
    ),
    (
        "Meters",
        (
            gauge(
                "meter_watts",
                "Power that comes by; absent where no reading is fresh and can be true.",
                METER_LABEL,
                unit="watts",
            ),
            gauge("meter_silent", "1 where no reading is fresh and can be true, else 0.", METER_LABEL),
            gauge(
                "meter_suspect",
                "1 where the reading, or those of its devices together, cannot be true, else 0.",
                METER_LABEL,
            ),
            gauge(
                "meter_residual_watts",
                "What comes by and no fresh reading of a device explains, by PUE; absent where the meter is silent.",
                METER_LABEL,
                unit="watts",
            ),
            gauge(
                "meter_energy_joules",
                "Energy that came by over the last 24 hours, by the record.",
                METER_LABEL,
                unit="joules",
            ),
            gauge(
                "meter_residual_joules",
                "Of it, what is booked of no device; below 0 where more is booked than came by.",
                METER_LABEL,
                unit="joules",
            ),
            gauge(
                "meter_bias_ratio",
                "Share by which a fleet or pool draws more than its readings say, as learnt from the meters.",
                DEVICES_LABEL,
                unit="ratio",
            ),
            gauge("meter_bias_spread_ratio", "One standard deviation of that.", DEVICES_LABEL, unit="ratio"),
            gauge("meter_bias_moved", "1 where that is another than over the days before, else 0.", DEVICES_LABEL),
        ),
    ),
    (
        "Fleets and pools",
        (
            gauge(
                "fleet_power_watts",
                "IT power: measured, and what is assumed of silent racks; absent where all are silent.",
                FLEET_LABEL,
                unit="watts",
            ),
            gauge("fleet_setpoint_watts", "IT power that its setpoint should draw.", FLEET_LABEL, unit="watts"),
            gauge(
                "fleet_hashrate_hashes_per_second",
                "Measured; absent where nothing is.",
                FLEET_LABEL,
                unit="hashes_per_second",
            ),
            gauge("fleet_racks", "Racks that there are.", FLEET_LABEL),
            gauge("fleet_racks_awake", "Racks whose setpoint is not sleep.", FLEET_LABEL),
            gauge("fleet_racks_silent", "Racks without a fresh reading.", FLEET_LABEL),
            gauge("fleet_racks_suspect", "Racks with a reading that cannot be true.", FLEET_LABEL),
            gauge(
                "fleet_unexplained_watts",
                "Of its racks that draw more than their setpoint explains, what is beyond it.",
                FLEET_LABEL,
                unit="watts",
            ),
            gauge("fleet_racks_stuck", "Racks that did not follow a power-down in time.", FLEET_LABEL),
            gauge(
                "pool_power_watts",
                "IT power: measured, and what is assumed of silent nodes; absent where all are silent.",
                POOL_LABEL,
                unit="watts",
            ),
            gauge(
                "pool_setpoint_watts",
                "IT power of idle nodes and of the running jobs at the GPUs' power limit.",
                POOL_LABEL,
                unit="watts",
            ),
            gauge("pool_gpus", "GPUs that there are.", POOL_LABEL),
            gauge("pool_gpus_busy", "GPUs that jobs hold.", POOL_LABEL),
            gauge("pool_nodes_silent", "Nodes without a fresh reading.", POOL_LABEL),
            gauge("pool_nodes_suspect", "Nodes with a reading that cannot be true.", POOL_LABEL),
            gauge(
                "devices_estimated",
                "Racks and nodes whose energy or hash is integrated from power, for want of a counter.",
            ),
        ),
    ),
    (
        "Prices and other inputs",
        (
            gauge("price_usd_per_mwh", "The price of energy in force.", unit="usd_per_mwh"),
            gauge("price_basis", "1 for the source of the price in force.", one_of("basis", PRICE_BASES)),
            gauge(
                "day_ahead_price_usd_per_mwh",
                "The day-ahead price of this hour; absent where unknown.",
                unit="usd_per_mwh",
            ),
            gauge(
                "break_even_usd_per_mwh",
                "The price of energy above which the fleet's most efficient mode loses money.",
                FLEET_LABEL,
                unit="usd_per_mwh",
            ),
            gauge("hashprice_usd_per_phs_day", "USD per PH/s and day, in force.", unit="usd_per_phs_day"),
            gauge("outdoor_celsius", "Outdoor temperature in force.", unit="celsius"),
            gauge("pue_ratio", "Power at the grid over IT power, by the outdoor temperature.", unit="ratio"),
            gauge(
                "pue_measured_ratio",
                "The same by the grid connection's meter over all devices; absent where one of them is not measured.",
                unit="ratio",
            ),
            gauge(
                "input_age_seconds",
                "Age by site time: since the newest reading; for the price since the end of the newest real-time "
                "interval, never below 0; for telemetry since the device read longest ago was. Absent before the first "
                "reading.",
                INPUT_LABEL,
                unit="seconds",
            ),
            gauge("input_stale", "1 while the stale policy holds in place of a fresh reading.", INPUT_LABEL),
        ),
    ),
)
