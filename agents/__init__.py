"""Learning one policy: networks, losses, trainers; frozen policies."""
