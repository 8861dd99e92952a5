"""Where on a corridor a robot is: a function of one row, for kernels that observe and kernels that limit speed."""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

wp.set_module_options({"fuse_fp": False, "enable_backward": False})


@wp.func
def nearest_segment(row: int, points: wp.array3d(dtype=wp.float32), n: int, x: float, y: float):  # noqa: ANN201
    """The segment of a corridor of `n` way-points that (x, y) is nearest to, and how far along it, as a share of it.

    Of two equally near the later; (0, 1) for a corridor of fewer than two way-points.
    """
    segment = wp.int32(0)
    nearest = wp.float32(1.0e9)
    share = wp.float32(1.0)
    for k in range(1, n):
        ax = points[row, k - 1, 0]
        ay = points[row, k - 1, 1]
        ux = points[row, k, 0] - ax
        uy = points[row, k, 1] - ay
        square = ux * ux + uy * uy
        t = wp.float32(1.0)
        if square > 1.0e-9:
            t = wp.clamp(((x - ax) * ux + (y - ay) * uy) / square, 0.0, 1.0)
        dx = x - ax - t * ux
        dy = y - ay - t * uy
        gap = dx * dx + dy * dy
        if gap <= nearest:
            nearest = gap
            segment = k
            share = t
    return segment, share
