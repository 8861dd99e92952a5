"""A road as bytes, for recordings that must explain themselves wherever they are read.

An npz of the borders in float64 with a JSON of everything else: `unpack_road(pack_road(road))` has the same hash.
"""

from __future__ import annotations

import io
import json
import math

import numpy as np

from sim.road import Crossing, Lane, LaneKind, Road, RoadError, check_road

FORMAT = 1


def pack_road(road: Road) -> bytes:
    """The bytes of a road."""
    lanes = [
        {
            "name": lane.name,
            "limit": lane.limit if math.isfinite(lane.limit) else None,
            "kind": int(lane.kind),
            "successors": lane.successors,
            "predecessors": lane.predecessors,
            "left_neighbour": lane.left_neighbour,
            "right_neighbour": lane.right_neighbour,
            "oncoming": lane.oncoming,
            "may_change_left": lane.may_change_left,
            "may_change_right": lane.may_change_right,
            "junction": lane.junction,
            "chords": lane.chords,
        }
        for lane in road.lanes
    ]
    content = {
        "format": FORMAT,
        "name": road.name,
        "right_hand": road.right_hand,
        "ignored": road.ignored,
        "crossings": [(crossing.start, crossing.end, crossing.width) for crossing in road.crossings],
        "lanes": lanes,
    }
    out = io.BytesIO()
    np.savez_compressed(
        out,
        content=np.frombuffer(json.dumps(content).encode(), np.uint8),
        points=np.array([len(lane.left) for lane in road.lanes], np.int64),
        left=np.concatenate([lane.left for lane in road.lanes]),
        right=np.concatenate([lane.right for lane in road.lanes]),
    )
    return out.getvalue()


def unpack_road(data: bytes) -> Road:
    """The road of some bytes. Raises `RoadError` where they are none."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            content = json.loads(arrays["content"].tobytes())
            if content["format"] != FORMAT:
                raise RoadError(f"expected a road of format {FORMAT}, got {content['format']}; use the muster of then")
            cuts = np.cumsum(arrays["points"])[:-1]
            lefts, rights = np.split(arrays["left"], cuts), np.split(arrays["right"], cuts)
        lanes = []
        for left, right, stated in zip(lefts, rights, content["lanes"], strict=True):
            links = {"successors": tuple(stated["successors"]), "predecessors": tuple(stated["predecessors"])}
            limit = math.inf if stated["limit"] is None else float(stated["limit"])
            lanes.append(
                Lane(
                    **{
                        **stated,
                        **links,
                        "left": left,
                        "right": right,
                        "limit": limit,
                        "kind": LaneKind(stated["kind"]),
                    }
                )
            )
        crossings = [Crossing((a[0], a[1]), (b[0], b[1]), width) for a, b, width in content["crossings"]]
        road = Road(content["name"], tuple(lanes), tuple(crossings), content["right_hand"], tuple(content["ignored"]))
    except RoadError:
        raise
    except Exception as error:  # a damaged zip raises whatever its decoder does
        raise RoadError(f"expected a packed road, got {error}; take another recording") from error
    return check_road(road)
