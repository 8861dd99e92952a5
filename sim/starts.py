"""Where robots may stand when a run begins: on the floor, clear of racks and of each other.

Robots are rectangles at any yaw. Two rectangles are apart exactly if one of their four edge directions separates them
(separating axis theorem; Gottschalk, Lin and Manocha, SIGGRAPH 1996), which also holds for a robot and a rack.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.errors import MusterError
from sim.robot import RobotSpec
from sim.site import Site, merged_boxes


class StartError(MusterError):
    """Robots cannot stand where they are to start."""


def check_starts(site: Site, spec: RobotSpec, poses: NDArray[np.floating]) -> None:
    """Raise `StartError` unless robots of one kind can stand at `poses` (robots, 3): x, y (m) and yaw in W."""
    poses = np.asarray(poses, np.float64)
    if poses.ndim != 2 or poses.shape[1] != 3 or not np.isfinite(poses).all():
        raise StartError(f"expected poses of shape (robots, 3), all finite, got shape {poses.shape}; give x, y and yaw")
    half = np.array([spec.length, spec.width]) / 2
    boxes = merged_boxes(site).astype(np.float64)
    middles = np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, np.zeros((len(boxes), 1))], axis=1)
    size = np.array([site.width, site.height]) * site.cell
    for number, pose in enumerate(poses):
        reach = np.abs(_axes(pose[2])).T @ half
        if (pose[:2] - reach < 0.0).any() or (pose[:2] + reach > size).any():
            raise StartError(
                f"robot {number}: expected a start on the floor of {size[0]:g} m x {size[1]:g} m, got {_text(pose)}, "
                f"where {spec.length:g} m x {spec.width:g} m reach beyond it; move it inwards"
            )
        gap = np.maximum(boxes[:, :2] - pose[:2], pose[:2] - boxes[:, 2:])
        near = (gap < spec.radius).all(axis=1)
        for middle, box in zip(middles[near], boxes[near], strict=True):
            if overlap(pose, half, middle, (box[2:] - box[:2]) / 2):
                raise StartError(
                    f"robot {number}: expected a start clear of racks, got {_text(pose)}, which overlaps the rack from "
                    f"({box[0]:g}, {box[1]:g}) to ({box[2]:g}, {box[3]:g}); move it away"
                )
        for other in range(number):
            if overlap(pose, half, poses[other], half):
                raise StartError(
                    f"robots {other} and {number}: expected starts that do not overlap, got {_text(poses[other])} and "
                    f"{_text(pose)} for footprints of {spec.length:g} m x {spec.width:g} m; move one of them"
                )


def overlap(
    one: NDArray[np.floating],
    one_half: NDArray[np.floating],
    two: NDArray[np.floating],
    two_half: NDArray[np.floating],
) -> bool:
    """Whether two rectangles at poses (3,) with half sides (2,) have a common point inside; edges may touch."""
    away = two[:2] - one[:2]
    ours, theirs = _axes(one[2]), _axes(two[2])
    for axis in (*ours, *theirs):
        reach = np.abs(ours @ axis) @ one_half + np.abs(theirs @ axis) @ two_half
        if abs(away @ axis) >= reach:
            return False
    return True


def _axes(yaw: float) -> NDArray[np.float64]:
    return np.array([[np.cos(yaw), np.sin(yaw)], [-np.sin(yaw), np.cos(yaw)]])


def _text(pose: NDArray[np.floating]) -> str:
    return f"({pose[0]:.2f}, {pose[1]:.2f}, {pose[2]:.2f} rad)"
