"""Keyed draws: every random number of the simulator is a function of what it is for, not of when it is asked.

    draw(seed, term, world, episode, counter) -> uint32

A draw depends on its five arguments alone: not on the number of worlds, on the order of calls or on the device.
The five integers are absorbed one after the other into 64 bits, each followed by the finaliser of SplitMix64
(Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014, with Stafford's Mix13 constants),
and the upper 32 bits are the draw. `stream` absorbs the first four once, so that a kernel that draws once a ray
pays for one finaliser each. The numpy functions are equal bit for bit to the Warp functions beside them; they serve
tests, tools and draws that a host makes.

Not cryptographic, and not meant for more than 2^32 draws of one key.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from enum import IntEnum

import numpy as np
import warp as wp
from numpy.typing import NDArray

wp.set_module_options({"fuse_fp": False, "enable_backward": False})


class Term(IntEnum):
    """What a draw is for; a new term goes at the end, because the number enters every draw."""

    LAYOUT = 0
    PATH = 1
    START = 2
    LOOKAHEAD = 3
    STALL = 4
    PERSON_START = 5
    PERSON_WALK = 6
    FRICTION = 7
    PAYLOAD = 8
    MOTOR_LAG = 9
    LATENCY = 10
    RANGE_NOISE = 11
    RANGE_DROPOUT = 12
    LOCALISATION = 13
    ODOMETRY = 14
    PERSON_SPEED = 15
    FORKLIFT = 16
    FLEET = 17
    MOTOR_STRENGTH = 18
    BRAKE = 19
    ODOMETRY_NOISE = 20
    LIDAR_NOISE = 21
    LIDAR_DROPOUT = 22
    MASS = 23
    LIGHT = 24
    CURRICULUM = 25
    WHEELS = 26
    WHEEL_SENSORS = 27
    TRACK_COMMAND = 28
    TRACK_START = 29
    SENSOR_FAULT = 30
    SENSOR_TIMING = 31
    SENSOR_PHASE = 32
    LIDAR_GHOST = 33
    WHEEL_TRAVEL = 34
    IMU = 35
    BATTERY_GAUGE = 36
    DEPTH = 37
    BOXES = 38
    MANNERS = 39
    SCENARIO = 40
    TRAFFIC = 41
    WALKERS = 42
    ROAD_SENSING = 43
    OBJECT_LIST = 44
    OWN_PLACE = 45
    ROAD_START = 50
    ROAD_COMMAND = 51
    MOTOR_SENSORS = 52
    MOTOR_NOISE = 53
    MOTOR_COMMAND = 54
    MOTOR_START = 55
    ROAD_PACE = 56
    ROAD = 57


GOLDEN = wp.constant(wp.uint64(0x9E3779B97F4A7C15))
MIX_A = wp.constant(wp.uint64(0xBF58476D1CE4E5B9))
MIX_B = wp.constant(wp.uint64(0x94D049BB133111EB))


@wp.func
def mix(x: wp.uint64) -> wp.uint64:
    """SplitMix64's finaliser: a bijection of 64 bits in which each input bit flips each output bit half the time."""
    x = (x ^ (x >> wp.uint64(30))) * MIX_A
    x = (x ^ (x >> wp.uint64(27))) * MIX_B
    return x ^ (x >> wp.uint64(31))


@wp.func
def absorb(key: wp.uint64, value: wp.int32) -> wp.uint64:
    """The key after one more integer, taken as 32 bits."""
    return mix(key * GOLDEN + wp.uint64(wp.uint32(value)) + GOLDEN)


@wp.func
def stream(seed: wp.int32, term: wp.int32, world: wp.int32, episode: wp.int32) -> wp.uint64:
    """The key of one term in one episode of one world."""
    return absorb(absorb(absorb(absorb(wp.uint64(0), seed), term), world), episode)


@wp.func
def draw_from(key: wp.uint64, counter: wp.int32) -> wp.uint32:
    """Draw number `counter` of a stream."""
    return wp.uint32(absorb(key, counter) >> wp.uint64(32))


@wp.func
def draw(seed: wp.int32, term: wp.int32, world: wp.int32, episode: wp.int32, counter: wp.int32) -> wp.uint32:
    """One keyed draw, uniform over uint32."""
    return draw_from(stream(seed, term, world, episode), counter)


@wp.func
def unit(bits: wp.uint32) -> wp.float32:
    """Uniform in [0, 1) from the upper 24 bits, exact in float32."""
    return wp.float32(bits >> wp.uint32(8)) * wp.float32(1.0 / 16777216.0)


@wp.func
def below(bits: wp.uint32, count: wp.int32) -> wp.int32:
    """Uniform in [0, count) by multiply and shift (bias below count / 2^32)."""
    return wp.int32((wp.uint64(bits) * wp.uint64(wp.uint32(count))) >> wp.uint64(32))


@wp.func
def bell(bits: wp.uint32) -> wp.float32:
    """Mean 0, standard deviation 1, never beyond 3: the sum of three uniforms of 10 bits (Irwin-Hall, n = 3).

    Three uniforms on (-1/2, 1/2) have variance 1/4 and support 3/2, so the doubled sum is a bell of unit variance
    whose tails end at exactly three standard deviations: no logarithm, no rejection and no clip.
    """
    a = wp.float32(bits & wp.uint32(1023))
    b = wp.float32((bits >> wp.uint32(10)) & wp.uint32(1023))
    c = wp.float32((bits >> wp.uint32(20)) & wp.uint32(1023))
    return (a + b + c - 1534.5) * wp.float32(2.0 / 1024.0)


def _mix_numpy(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def draw_numpy(
    seed: int,
    term: int,
    world: int | NDArray[np.integer],
    episode: int | NDArray[np.integer],
    counter: int | NDArray[np.integer],
) -> NDArray[np.uint32]:
    """The same draws as `draw`, in numpy; world, episode and counter broadcast."""
    golden = np.uint64(0x9E3779B97F4A7C15)
    parts = np.broadcast_arrays(*(np.asarray(part, np.int64) for part in (seed, term, world, episode, counter)))
    key = np.zeros(parts[0].shape, np.uint64)
    with np.errstate(over="ignore"):
        for part in parts:
            key = _mix_numpy(key * golden + (part & 0xFFFFFFFF).astype(np.uint64) + golden)
    return (key >> np.uint64(32)).astype(np.uint32)


def unit_numpy(bits: NDArray[np.uint32]) -> NDArray[np.float32]:
    """The same as `unit`, in numpy."""
    return (bits >> np.uint32(8)).astype(np.float32) * np.float32(1.0 / 16777216.0)


def bell_numpy(bits: NDArray[np.uint32]) -> NDArray[np.float32]:
    """The same as `bell`, in numpy."""
    parts = [((bits >> np.uint32(shift)) & np.uint32(1023)).astype(np.float32) for shift in (0, 10, 20)]
    return (parts[0] + parts[1] + parts[2] - np.float32(1534.5)) * np.float32(2.0 / 1024.0)
