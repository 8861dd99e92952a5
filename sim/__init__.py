"""The plant: what a robot is, and its simulated body, sensors, sites and people."""
