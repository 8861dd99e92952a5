"""Cars are followed along lanes and across borders, and places map to the path's frame."""

import math

import numpy as np
import warp as wp

from sim.driving.atlas import Atlas
from sim.driving.footing import find_footing
from sim.driving.pathframe import make_around, map_objects
from sim.driving.state import OBJECTS, PATH, PATH_BEHIND, PATH_STEP, make_footing, make_view
from sim.road import project
from sim.roadgen import generate_highway, generate_town


def test_a_car_that_follows_its_route_stands_on_every_lane_of_it() -> None:
    atlas = Atlas([generate_town(3)], routes=8, seed=1)
    road, routes = atlas.roads[0], atlas.routes
    rows = 8
    footing, pose = make_footing(rows, "cpu"), wp.zeros((rows, 3), dtype=wp.float32, device="cpu")
    lane, s = routes.start_lane.numpy().copy(), routes.start_s.numpy().copy()
    footing.route.assign(np.arange(rows))
    footing.lane.assign(lane)
    footing.place.assign(np.stack([s, *np.zeros((3, rows))], axis=-1))
    left = footing.left.numpy()
    next_lane = routes.next_lane.numpy()
    for _ in range(120):
        s += 1.0
        for row in range(rows):
            while s[row] > road.lanes[lane[row]].length:
                after = int(next_lane[row, lane[row]])
                assert after in road.lanes[lane[row]].successors
                s[row] -= road.lanes[lane[row]].length
                lane[row] = after
            x, y = road.lanes[lane[row]].at(float(s[row])) - atlas.origin(0)
            heading = float(np.interp(s[row], road.lanes[lane[row]].s, road.lanes[lane[row]].heading))
            pose.numpy()[row] = x, y, heading
        wp.launch(find_footing, dim=rows, inputs=[atlas.lanes, routes, pose, footing], device="cpu")
        near_joint = (s < 1.0) | (s > [road.lanes[each].length - 1.0 for each in lane])
        assert ((footing.lane.numpy() == lane) | near_joint).all()
        assert (np.abs(footing.place.numpy()[:, 1]) < 0.05).all()
    driven = routes.length.numpy() - left
    assert np.allclose(driven, 120.0, atol=1.5)


def test_a_car_that_crosses_a_border_stands_on_the_neighbour_and_off_the_road_on_none() -> None:
    atlas = Atlas([generate_highway(1)], routes=1, seed=1)
    road = atlas.roads[0]
    start = next(
        index
        for index, lane in enumerate(road.lanes)
        if lane.right_neighbour >= 0 and lane.kind == 0 and lane.length > 80
    )
    lane = road.lanes[start]
    footing, pose = make_footing(1, "cpu"), wp.zeros((1, 3), dtype=wp.float32, device="cpu")
    footing.lane.assign([start])
    heading = float(np.interp(40.0, lane.s, lane.heading))
    seen = []
    for d in (0.0, -1.0, -2.5, -3.5):
        x, y = lane.at(40.0) - atlas.origin(0) + d * np.array([-math.sin(heading), math.cos(heading)])
        pose.assign([[x, y, heading]])
        wp.launch(find_footing, dim=1, inputs=[atlas.lanes, atlas.routes, pose, footing], device="cpu")
        seen.append(int(footing.lane.numpy()[0]))
    assert seen == [start, start, lane.right_neighbour, lane.right_neighbour]
    x, y = lane.at(40.0) - atlas.origin(0) + 60.0 * np.array([-math.sin(heading), math.cos(heading)])
    pose.assign([[x, y, heading]])
    wp.launch(find_footing, dim=1, inputs=[atlas.lanes, atlas.routes, pose, footing], device="cpu")
    assert footing.lane.numpy()[0] == -1


def test_objects_map_to_the_frame_of_a_bent_path_as_the_reference_projects_them() -> None:
    rng = np.random.default_rng(5)
    view, around = make_view(1, "cpu"), make_around(1, "cpu")
    s = (np.arange(PATH) - PATH_BEHIND) * PATH_STEP
    curvature = 1.0 / 60.0
    heading = curvature * s
    path = view.path.numpy()
    path[0, :, 0], path[0, :, 1] = np.sin(heading) / curvature, (1.0 - np.cos(heading)) / curvature
    path[0, :, 2], path[0, :, 3] = heading, curvature
    view.path_lane.fill_(0)
    fine = np.linspace(s[0], s[-1], 20_001)
    line = np.stack([np.sin(curvature * fine), 1.0 - np.cos(curvature * fine)], axis=-1) / curvature
    where, side = rng.uniform(0.0, 150.0, OBJECTS), rng.uniform(-8.0, 8.0, OBJECTS)
    objects = view.objects.numpy()
    objects[0, :, 0] = (1.0 / curvature - side) * np.sin(curvature * where)
    objects[0, :, 1] = 1.0 / curvature - (1.0 / curvature - side) * np.cos(curvature * where)
    objects[0, :, 2], objects[0, :, 3] = curvature * where + 0.3, 10.0
    view.object_kind.fill_(1)
    mask = wp.full(1, 1, dtype=wp.uint8, device="cpu")
    wp.launch(map_objects, dim=(1, OBJECTS), inputs=[view, mask, around, 1], device="cpu")
    found_s, found_d = project(line, fine - fine[0], objects[0, :, :2].astype(float))
    mapped = around.objects.numpy()[0]
    assert np.abs(mapped[:, 0] - (found_s + fine[0])).max() < 0.25  # 1.5 m beside a point, across a bend of 60 m
    assert np.abs(mapped[:, 1] - found_d).max() < 0.03
    assert np.allclose(mapped[:, 2], 10.0 * math.cos(0.3), atol=0.05)
    assert np.allclose(mapped[:, 3], 10.0 * math.sin(0.3), atol=0.1)
