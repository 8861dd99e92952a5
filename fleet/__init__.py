"""Running robots: control loop, black box, replay, metrics, launch, command line."""
