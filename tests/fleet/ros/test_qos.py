"""Offers and requests: every pair of the table in ROS 2's "QoS compatibilities"."""

from __future__ import annotations

import itertools
import math

import pytest

from fleet.ros.qos import CLOCK, DEFAULT, LATCHED, SENSOR, QoS, QosError, incompatible


@pytest.mark.parametrize(
    ("offered", "requested", "word"),
    [
        (DEFAULT, DEFAULT, ""),
        (DEFAULT, SENSOR, ""),
        (SENSOR, DEFAULT, "best effort"),
        (LATCHED, DEFAULT, ""),
        (DEFAULT, LATCHED, "volatile"),
        (DEFAULT, CLOCK, ""),
        (QoS(deadline_s=0.1), QoS(deadline_s=0.2), ""),
        (QoS(deadline_s=0.2), QoS(deadline_s=0.1), "0.2 s"),
        (DEFAULT, QoS(deadline_s=0.1), "deadline of none"),
        (QoS(manual_liveliness=True), DEFAULT, ""),
        (DEFAULT, QoS(manual_liveliness=True), "manual"),
        (QoS(lease_s=1.0), QoS(lease_s=1.0), ""),
        (DEFAULT, QoS(lease_s=1.0), "lease"),
    ],
)
def test_a_writer_reaches_a_reader_where_it_offers_at_least_what_is_asked(
    offered: QoS, requested: QoS, word: str
) -> None:
    why = incompatible(offered, requested)
    assert (why == "") == (word == "")
    assert word in why


def test_whoever_offers_all_satisfies_all_and_each_shortfall_is_named() -> None:
    most = QoS(latched=True, deadline_s=0.1, manual_liveliness=True, lease_s=0.1)
    least = QoS(reliable=False)
    for reliable, latched, manual in itertools.product([False, True], repeat=3):
        asked = QoS(reliable=reliable, latched=latched, manual_liveliness=manual)
        assert incompatible(most, asked) == ""
        assert incompatible(asked, least) == ""
    assert incompatible(least, most).count(";") == 4


@pytest.mark.parametrize(
    "wrong", [{"depth": 0}, {"depth": 10_001}, {"deadline_s": 0.0}, {"lease_s": -1.0}, {"deadline_s": math.nan}]
)
def test_a_quality_that_nobody_can_keep_is_refused(wrong: dict) -> None:
    with pytest.raises(QosError):
        QoS(**wrong)
