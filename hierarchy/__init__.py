"""Deciding which policy drives: the same controller in simulation and on the robot.

Read options (courses of action that know when they end), meta (which of them, when to ask for help), corridors (from
granted cells to the ground that skill and shield share), skills (what drives), controller (all of it as one pure step),
motor (tracks what was released).
"""
