"""Deciding which policy drives: meta, skill, motor."""
