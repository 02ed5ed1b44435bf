"""Names by which dashboards link to each other; bookmarks hold them, so they stay."""

SITE = "wattshift-site"
DISPATCH = "wattshift-dispatch"
JOBS = "wattshift-jobs"
FLEETS = "wattshift-fleets"
CONTROLLER = "wattshift-controller"
