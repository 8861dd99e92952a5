"""muster as a ROS 2 package: everything is the installed muster's; see `programs`."""
