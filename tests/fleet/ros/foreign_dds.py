"""A DDS program that shares no code with muster: the binding's own types and codec, as a peer for test_dds.py.

    python foreign_dds.py DOMAIN

What it publishes on rt/...: `plain` (a Twist with the hash that real ROS 2 gives it), `other_hash`, `no_hash`, `xcdr2`,
and `broken` (another structure under the same type name). It subscribes to rt/heard and ros_discovery_info, and prints
one JSON line for each thing it is told of our node's writer: its type, user data and first message.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from cyclonedds.core import Policy, Qos
from cyclonedds.domain import Domain, DomainParticipant
from cyclonedds.idl import make_idl_struct
from cyclonedds.idl.types import array, float64, sequence, uint8
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic

TWIST_HASH = "RIHS01_9c45bf16fe0983d80e3cfe750d6835843d265a9a6c46bd2e609fcddde6fb8d2a"
"""geometry_msgs/msg/Twist, recorded from ROS 2 Jazzy"""
XML = """<CycloneDDS><Domain>
<General><Interfaces><NetworkInterface name="lo"/></Interfaces><AllowMulticast>false</AllowMulticast></General>
<Discovery><ParticipantIndex>auto</ParticipantIndex><MaxAutoParticipantIndex>32</MaxAutoParticipantIndex>
<Peers><Peer address="localhost"/></Peers></Discovery>
<Compatibility><IgnoreTypeInformation>1.16</IgnoreTypeInformation></Compatibility></Domain></CycloneDDS>"""

Vector = make_idl_struct("Vector", "geometry_msgs.msg.dds_.Vector3_", {"x": float64, "y": float64, "z": float64})
Twist = make_idl_struct("Twist", "geometry_msgs.msg.dds_.Twist_", {"linear": Vector, "angular": Vector})
Broken = make_idl_struct("Broken", "geometry_msgs.msg.dds_.Twist_", {"a": uint8})
Gid = make_idl_struct("Gid", "rmw_dds_common.msg.dds_.Gid_", {"data": array[uint8, 16]})
NodeInfo = make_idl_struct(
    "NodeInfo",
    "rmw_dds_common.msg.dds_.NodeEntitiesInfo_",
    {"namespace": str, "name": str, "readers": sequence[Gid], "writers": sequence[Gid]},
)
Info = make_idl_struct(
    "Info", "rmw_dds_common.msg.dds_.ParticipantEntitiesInfo_", {"gid": Gid, "nodes": sequence[NodeInfo]}
)


def quality(type_hash: str = "", *, xcdr2: bool = False, latched: bool = False) -> Qos:
    """Reliable."""
    policies: list[Any] = [
        Policy.Reliability.Reliable(0),
        Policy.History.KeepLast(10),
        Policy.DataRepresentation(use_cdrv0_representation=not xcdr2, use_xcdrv2_representation=xcdr2),
    ]
    if type_hash:
        policies.append(Policy.Userdata(f"typehash={type_hash};".encode()))
    if latched:
        policies.append(Policy.Durability.TransientLocal)
    return Qos(*policies)


def main(domain: int) -> None:
    """Run until nobody listens any more."""
    opened = Domain(domain, XML)
    participant = DomainParticipant(domain)
    twist = Twist(Vector(1.0, 2.0, 3.0), Vector(-0.5, 0.0, 0.25))  # pyright: ignore[reportCallIssue]
    offers = {
        "plain": (Twist, twist, quality(TWIST_HASH)),
        "other_hash": (Twist, twist, quality("RIHS01_" + "0" * 64)),
        "no_hash": (Twist, twist, quality()),
        "xcdr2": (Twist, twist, quality(TWIST_HASH, xcdr2=True)),
        "broken": (Broken, Broken(7), quality(TWIST_HASH)),  # pyright: ignore[reportCallIssue]
    }
    writers = []
    for name, (kind, message, offered) in offers.items():
        writers.append((DataWriter(participant, Topic(participant, f"rt/{name}", kind), offered), message))
    heard = DataReader(participant, Topic(participant, "rt/heard", Twist), quality())
    nodes = DataReader(participant, Topic(participant, "ros_discovery_info", Info), quality(latched=True))
    while True:
        for writer, message in writers:
            writer.write(message)
        for sample in nodes.take(10):
            if not hasattr(sample, "key_sample"):
                told = [[each.namespace, each.name, len(each.readers), len(each.writers)] for each in sample.nodes]
                print(json.dumps({"nodes": told}), flush=True)
        writers_heard = heard.get_matched_publications()
        for sample in heard.take(10):
            if writers_heard and not hasattr(sample, "key_sample"):
                matched = heard.get_matched_publication_data(writers_heard[0])
                if matched is None:
                    continue  # gone in between
                values = [sample.linear.x, sample.linear.y, sample.angular.z]
                user_data = bytes(matched.qos[Policy.Userdata].data).decode()
                print(json.dumps({"type": matched.type_name, "user_data": user_data, "values": values}), flush=True)
        time.sleep(0.05)
    del opened


if __name__ == "__main__":
    main(int(sys.argv[1]))
