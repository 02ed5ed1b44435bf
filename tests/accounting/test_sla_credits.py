"""The money of a job: the same for one job and for a column of them."""

import numpy as np
import pytest

from orchestrator.accounting.sla_credits import billed_usd, credited_usd, late_credit_usd, most_credit_usd

HOUR = 3600.0


def test_work_is_billed_by_the_gpu_hour() -> None:
    assert billed_usd(6.0 * HOUR, 2.5) == pytest.approx(15.0)


def test_a_late_job_is_credited_pro_rata_and_one_that_is_broken_off_in_full() -> None:
    """8 GPU-hours at 2.50, half of the price promised back."""
    assert late_credit_usd(2.0 * HOUR, 2.5, 0.5) == pytest.approx(2.5)
    assert most_credit_usd(8.0 * HOUR, 2.5, 0.5) == pytest.approx(10.0)


def test_all_credits_of_a_job_together_are_no_more_than_that() -> None:
    assert credited_usd(2.5, 0.0, 10.0) == 2.5
    assert credited_usd(2.5, 9.0, 10.0) == 1.0
    assert credited_usd(2.5, 10.0, 10.0) == 0.0
    assert credited_usd(2.5, 10.000001, 10.0) == 0.0, "a rounding error takes nothing back"


def test_a_column_of_jobs_comes_to_the_same_as_each_alone() -> None:
    undone_s, usd_per_gpu_h, share = np.array([0.0, 7200.0, 9e5]), np.array([1.1, 2.1, 2.9]), np.array([0.0, 0.5, 1.0])
    credits = credited_usd(late_credit_usd(undone_s, usd_per_gpu_h, share), np.zeros(3), np.array([1.0, 1.0, 1e6]))
    alone = [
        credited_usd(late_credit_usd(*each), 0.0, most)
        for each, most in zip(
            zip(undone_s.tolist(), usd_per_gpu_h.tolist(), share.tolist(), strict=True), (1.0, 1.0, 1e6), strict=True
        )
    ]
    assert credits.tolist() == alone
