"""Ground for a robot that an operator drives: the cell that he drives towards, one at a time, and no plan.

It is granted like any other cell, only while nobody owns it, so that all laws of `rightofway` hold: others are kept out
of what the robot may come into. Towards which cell he drives follows from the robot's heading and the sign of its
speed: the neighbour that lies most in that direction. Ground ahead that lies elsewhere leaves the grant first, once the
robot can stop before it. One-way aisles are no walls: a robot may be driven out of one backwards.
"""

from __future__ import annotations

import math

from coordination.ledger import Ledger
from coordination.mover import Mover
from coordination.roadmap import NONE, Roadmap
from sim.site import MOVES


def widen(mover: Mover, ledger: Ledger, roadmap: Roadmap) -> None:
    """Grant the cell that the operator drives towards, if it is free."""
    report = mover.report
    if not mover.drive or report is None or mover.conflict or not mover.path:
        return
    at, path = mover.at, mover.path
    cell = towards(path[at], report.pose[2], mover.drive, roadmap)
    if cell == NONE or cell in path[max(at - 1, 0) : at + 2] or (mover.tall and ledger.plans.pods[cell]):
        return
    if mover.ahead:
        if mover.keep > at:
            return  # it may still come into what it drove towards before
        ledger.cut(mover, at + 1)
    if ledger.owner[cell] in (NONE, mover.index):
        ledger.claim(mover, cell)


def hand_back(mover: Mover, ledger: Ledger) -> None:
    """Nothing that was granted for the operator's sake stays, but what the robot may still come into."""
    first = max(mover.keep, mover.at) + 1
    if first < len(mover.path):
        ledger.cut(mover, first)


def towards(cell: int, yaw: float, drive: int, roadmap: Roadmap) -> int:
    """The neighbour that lies most in a heading (`drive` -1: behind), if there is a way between them; else NONE."""
    ahead = drive * math.cos(yaw), drive * math.sin(yaw)
    # a move is (row, column), rows counted downwards
    move = max(range(len(MOVES)), key=lambda m: MOVES[m][1] * ahead[0] - MOVES[m][0] * ahead[1])
    open_ = (roadmap.exits[cell] | roadmap.entries[cell]) >> move & 1
    return cell + int(roadmap.offsets[move]) if open_ else NONE
