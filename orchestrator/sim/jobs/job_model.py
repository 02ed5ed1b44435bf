"""A simulated HPC job: loading, progress, checkpoints and resumption, advanced by explicit time."""

import math

LOADING_UTILISATION = 0.25
"""How busy a job keeps its GPUs while it loads its checkpoint."""
CLOCK_STEP_S = 1e-6
"""Unix seconds as floats are no finer than some 0.2 us: work left for less than this is done."""


class JobModel:
    """One start of a job at `at` (unix seconds of site time), from its last checkpoint.

    It loads for `restart_s`, then does `gpus` x throughput GPU seconds a second until `work_gpu_seconds` are done,
    with a checkpoint every `checkpoint_every_s` and one at the end.
    """

    def __init__(
        self,
        *,
        gpus: int,
        work_gpu_seconds: float,
        checkpoint_every_s: float,
        restart_s: float,
        checkpoint_gpu_seconds: float,
        at: float,
    ) -> None:
        self.done_gpu_seconds = checkpoint_gpu_seconds
        self.checkpoint_gpu_seconds = checkpoint_gpu_seconds
        self.checkpoint_at = at
        self.finished_at: float | None = at if checkpoint_gpu_seconds >= work_gpu_seconds else None
        self._gpus = gpus
        self._work_gpu_seconds = work_gpu_seconds
        self._checkpoint_every_s = checkpoint_every_s
        self._loaded_at = at + restart_s
        self._next_checkpoint_at = self._loaded_at + checkpoint_every_s
        self._at = at

    @property
    def utilisation(self) -> float:
        """How busy its GPUs are, 0 to 1."""
        return LOADING_UTILISATION if self._at < self._loaded_at else 1.0

    def changes_at(self, throughput: float) -> float:
        """When it is loaded or, once it is, finished, at that throughput; infinite if never."""
        if self._at < self._loaded_at:
            return self._loaded_at
        rate = self._gpus * throughput
        return self._at + (self._work_gpu_seconds - self.done_gpu_seconds) / rate if rate > 0.0 else math.inf

    def advance(self, to: float, throughput: float) -> None:
        """Let time pass until `to` at `throughput`, the share of full speed that its GPUs give it."""
        while self.finished_at is None and self._next_checkpoint_at <= to:
            self._work(self._next_checkpoint_at, throughput)
            self.checkpoint()
            self._next_checkpoint_at += self._checkpoint_every_s
        self._work(to, throughput)

    def checkpoint(self) -> None:
        """Keep all work done so far."""
        self.checkpoint_gpu_seconds = self.done_gpu_seconds
        self.checkpoint_at = self._at

    def _work(self, to: float, throughput: float) -> None:
        if to <= self._at or self.finished_at is not None:
            return
        worked_from = max(self._at, self._loaded_at)
        self._at = to
        rate = self._gpus * throughput
        if to <= worked_from or rate <= 0.0:
            return
        left_s = (self._work_gpu_seconds - self.done_gpu_seconds) / rate
        if left_s <= to - worked_from + CLOCK_STEP_S:
            self.done_gpu_seconds = self._work_gpu_seconds
            self._at = self.finished_at = worked_from + left_s
            self.checkpoint()
        else:
            self.done_gpu_seconds += rate * (to - worked_from)
