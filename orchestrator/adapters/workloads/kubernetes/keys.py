"""Labels and annotations, as docs/kubernetes.md lists them."""

PREFIX = "wattshift.dev/"

FLEET = PREFIX + "fleet"
TENANT = PREFIX + "tenant"

POOL = PREFIX + "pool"
GPUS = PREFIX + "gpus"
GPUS_PER_POD = PREFIX + "gpus-per-pod"
MIN_GPUS = PREFIX + "min-gpus"
GPU_SECONDS = PREFIX + "gpu-seconds"
DEADLINE = PREFIX + "deadline"
CHECKPOINT_EVERY = PREFIX + "checkpoint-every"
RESTART = PREFIX + "restart"
SLA_CLASS = PREFIX + "sla-class"

LAST_UP_AT = PREFIX + "last-up-at"
LAST_DOWN_AT = PREFIX + "last-down-at"
LAST_WAKE_AT = PREFIX + "last-wake-at"
LAST_SLEEP_AT = PREFIX + "last-sleep-at"
DECIDED_AT = PREFIX + "decided-at"
REASON = PREFIX + "reason"
BEFORE = PREFIX + "before"
HOLD_UNTIL = PREFIX + "hold-until"

STARTS = PREFIX + "starts"
ELAPSED_SECONDS = PREFIX + "elapsed-seconds"
STARTED_AT = PREFIX + "started-at"
CHANGED_AT = PREFIX + "changed-at"
SUSPENSION_SEEN = PREFIX + "suspension-seen"

LEADER = PREFIX + "leader"

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
KUEUE_QUEUE = "kueue.x-k8s.io/queue-name"
GPU_RESOURCE = "nvidia.com/gpu"
