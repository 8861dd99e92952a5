"""Tasks: what a robot is asked to do in the simulator."""
