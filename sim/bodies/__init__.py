"""Bodies: what a robot is made of, for the physics engine, and the specifications of the robots that we have.

A body is a module with one function, `add(world, spec, number) -> BodyLayout`: it adds robot `number` to an MjSpec and
says how many coordinates, speeds and controls that took. `sim/scene.py` puts them on a floor.

    parts           masks, layout and pieces that bodies share
    planar          slide, slide, hinge and three servos: for training and fleets
    wheeled         two driven wheels and casters on a free joint: for motor policies and evaluation
    forklift        either of them with a fork that goes up and down
    manipulator     the planar base with an arm of five joints and a suction cup
    specs           `amr()`, `forklift()`, `mobile_manipulator()`: each number with its source
"""
