"""Type hashes: a description by hand, and hashes that ROS 2 announces."""

import pytest

from fleet.ros.kinds import KindError, find
from fleet.ros.typehash import description, hash_of
from tests.fleet.ros.kindsamples import Bounds, Nothing

ANNOUNCED = {
    "ackermann_msgs/msg/AckermannDrive": "acf287a224a947dd1b0b87d6d76cdb73f497b0237b8fc73be2173b2ebbb82c99",
    "ackermann_msgs/msg/AckermannDriveStamped": "48ca7612a08d3bb72744fd98b71b7cf2ea24c6ad50fa4e1aa0bbad963c90d8cf",
    "builtin_interfaces/msg/Duration": "e8d009f659816f758b75334ee1a9ca5b5c0b859843261f14c7f937349599d93b",
    "geometry_msgs/msg/PoseArray": "af0cc36d190e104d546d168d6b39df04fa4b4ccecf59cb4c9ed328d3d5004aa0",
    "geometry_msgs/msg/WrenchStamped": "8dc3deaf06b2ab281f9f9a742a8961c328ca7cec16e3fd6586d3a5c83fa78f77",
    "lifecycle_msgs/msg/TransitionDescription": "c5f1cd4bb1ad2ba0e3329d4ac7015c52a674a72c1faf7974c37a33f4f6048b28",
    "nav_msgs/msg/Goals": "02305a51633b5c04d8979b878a7577cafd422f8a07465c878b17a920af3759e9",
    "nav_msgs/msg/GridCells": "bb99c2f5d0a04750745a81ec6a8147aa373cce5bd17c8cd6507f2413354a6933",
    "rcl_interfaces/msg/Log": "e28ce254ca8abc06abf92773b74602cdbf116ed34fbaf294fb9f81da9f318eac",
    "rcl_interfaces/msg/ParameterEvent": "043e627780fcad87a22d225bc2a037361dba713fca6a6b9f4b869a5aa0393204",
    "rmw_dds_common/msg/ParticipantEntitiesInfo": "91a0593bacdcc50ea9bdcf849a938b128412cc1ea821245c663bcd26f83c295e",
    "sensor_msgs/msg/CameraInfo": "b3dfd68ff46c9d56c80fd3bd4ed22c7a4ddce8c8348f2f59c299e73118e7e275",
    "sensor_msgs/msg/Image": "d31d41a9a4c4bc8eae9be757b0beed306564f7526c88ea6a4588fb9582527d47",
    "sensor_msgs/msg/MultiDOFJointState": "4d4ded702cfba7ff3ec783835c1a1425f75e53939a430ff355d1fee4b3bbc40b",
    "std_msgs/msg/Char": "3ad2d04dd29ba19d04b16659afa3ccaedd691914b02a64e82e252f2fa6a586a9",
    "std_msgs/msg/Empty": "20b625256f32d5dbc0d04fee44f43c41e51c70d3502f84b4a08e7a9c26a96312",
    "std_msgs/msg/UInt8MultiArray": "5687e861b8d307a5e48b7515467ae7a5fc2daf805bd0ce6d8e9e604bade9f385",
    "tf2_msgs/msg/TFMessage": "e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087",
    "unique_identifier_msgs/msg/UUID": "1b8e8aca958cbea28fe6ef60bf6c19b683c97a9ef60bb34752067d0f2f7ab437",
    "visualization_msgs/msg/MarkerArray": "86cb8800b6fb05b5eff1abd7a56f62a5641d3ae9a1c29e78e67e704f1d067dcf",
}
"""What ROS 2 (Jazzy) announces of messages that `ros_golden` does not hold."""


@pytest.mark.parametrize("name", ANNOUNCED)
def test_the_hash_is_what_ros_announces(name: str) -> None:
    assert hash_of(find(name)) == "RIHS01_" + ANNOUNCED[name]


def test_an_empty_message_is_described_with_its_byte() -> None:
    assert description(Nothing) == (
        '{"type_description": {"type_name": "test_msgs/msg/Nothing", "fields": [{"name": '
        '"structure_needs_at_least_one_member", "type": {"type_id": 3, "capacity": 0, "string_capacity": 0, '
        '"nested_type_name": ""}}]}, "referenced_type_descriptions": []}'
    )


def test_arrays_bounds_and_references_stand_in_the_description() -> None:
    text = description(Bounds)
    for name, identifier, capacity, string in (
        ("name", 21, 0, 4),
        ("few", 96 + 11, 3, 0),
        ("names", 96 + 21, 2, 4),
        ("triple", 48 + 17, 3, 0),
        ("six", 48 + 8, 6, 0),
    ):
        assert (
            f'{{"name": "{name}", "type": {{"type_id": {identifier}, "capacity": {capacity}, '
            f'"string_capacity": {string}, "nested_type_name": ""}}}}'
        ) in text
    assert '"type_id": 49, "capacity": 2, "string_capacity": 0, "nested_type_name": "test_msgs/msg/Mixed"' in text
    assert text.count('"type_name": "test_msgs/msg/Mixed"') == 1


def test_what_is_no_message_has_no_hash() -> None:
    with pytest.raises(KindError, match="expected a message class"):
        hash_of(int)
