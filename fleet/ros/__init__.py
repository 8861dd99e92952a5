"""ROS 2 on both sides of the line: with rclpy where ROS 2 is sourced, by its wire protocol where it is not.

Read `bus.py` first: the protocol that every backend keeps. Then `names.py`, `arguments.py` and `parameters.py` (what a
launch file says to a node), `qos.py`, `kinds.py`, `cdr.py` and `typehash.py` (messages, their bytes, and how two sides
know that they mean the same ones), and the backends `loop.py`, `dds.py` and `rclpybus.py`.
"""
