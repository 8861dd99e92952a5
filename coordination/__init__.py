"""The laws between robots: tasks, assignment, right of way, emergency stop."""
