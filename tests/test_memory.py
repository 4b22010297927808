"""Many agents of an API at once, in little memory."""

from __future__ import annotations

import sys

import pytest
from bench.memory import MB, measure


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="sizes come from /proc")
def test_200_agents_that_stream_and_use_tools_stay_below_300_mb() -> None:
    row = measure(200, 6_000)
    assert row.most_running == 200
    assert 100 <= row.most_in_flight <= 128
    assert row.answer_bytes >= 20_000
    assert row.peak_bytes < 300 * MB
