"""The messages of ROS 2's packages, one module for each package, as of Jazzy; `kinds.find` imports them by name.

Of `std_msgs`, `geometry_msgs`, `sensor_msgs`, `nav_msgs` and `trajectory_msgs` all, of the others what robots and
fleets exchange. Definitions are facts of the wire: type hashes are tested against those that real ROS 2 announces.
"""
