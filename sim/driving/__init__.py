"""The road world: cars with Ackermann steering among traffic, cyclists and pedestrians.

It stands beside the warehouse on the same seams: a plant and tasks for `sim.env.BatchEnv`, a filter between a policy
and the drive, rows of the randomization table, both physics backends. Read state.py first (what everything here reads
and writes), then profile.py (what is assumed of others), atlas.py (many roads as arrays), plant.py, and the tasks.
"""
