"""The laws for one robot.

The shield: reason, dynamics, occupancy, path, sight, judge, lattice, shield, in this order. Then fallback, monitors and
supervisor.
"""
