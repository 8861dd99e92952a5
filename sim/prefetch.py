"""Rows of large arrays asked for before they are needed, as Warp functions: hints that change no result.

Physics pushes everything else out of a core's own caches, so that each place on a map that a kernel looks up then costs
a wait of some 80 ns (2026-11). Where one thread on the CPU goes through all actors of a world, it asks for all of their
places first, and they come side by side. On a GPU other threads run while one waits; there nothing is done.
"""

# pyright: reportGeneralTypeIssues=false, reportInvalidTypeForm=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp


@wp.func_native("""
#if !defined(__CUDA_ARCH__)
    __builtin_prefetch(rows.data + static_cast<size_t>(row) * rows.shape[1]);
#endif
""")
def fetch_row(rows: wp.array2d(dtype=wp.float32), row: int) -> None:
    """Ask for the beginning of a row of a contiguous array."""


@wp.func_native("""
#if !defined(__CUDA_ARCH__)
    __builtin_prefetch(values.data + at);
#endif
""")
def fetch_value(values: wp.array(dtype=wp.float32), at: int) -> None:
    """Ask for a value of a contiguous array, and those beside it."""
