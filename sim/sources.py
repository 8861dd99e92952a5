"""Where the numbers of robots come from: what a source may say, and the documents that sources name.

A source is one line, `kind: text`, of one of three kinds:

    datasheet   what a maker publishes of a product of the class; the text names the document as [MP500]
    norm        what a standard or a rule of a trade asks; the text names it as [ISO 13855]
    measured    what a committed script or test shows again (the text names its path), or a published measurement

A number that no document gives as it stands is derived from numbers that one does, and the text says how; "under" and
"over" mean that ours is more cautious than the product. `fault` says what is wrong with a source, so that a table of
them can be tested. This module needs the standard library alone, because robots import it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

DATASHEETS: Mapping[str, str] = {
    "MP500": "Neobotix MP-500, Mechanical Properties (neobotix-docs.de/hardware/en/platforms/mp-500)",
    "Freight": "Fetch Robotics Freight, freight.urdf (github.com/ZebraDevs/fetch_ros, fetch_description)",
    "Husky": "Clearpath Husky, control.yaml (github.com/husky/husky, husky_control)",
    "UR5e": "Universal Robots UR5e: Parameters for calculations of kinematics and dynamics; Max. joint torques; joint"
    " limits (github.com/UniversalRobots/Universal_Robots_ROS2_Description, config/ur5e)",
    "RPLIDAR": "Slamtec RPLIDAR A1M8, Introduction and Datasheet, figure 2-1",
    "UST-10LX": "Hokuyo UST-10LX: 2,400 turns a minute (its answer to the SCIP command PP)",
    "TiM": "SICK TiM781, online data sheet 1096807: 15 Hz, from 0.05 m",
    "LMS1xx": "SICK, Measurement errors LMSxxx (support.sick.com): 12 mm at any range; LMS5xx 6 to 14 mm",
    "S300": "SICK S300, operating instructions 8010948: two scans of 40 ms are its basic response time",
    "outdoorScan3": "SICK outdoorScan3, operating instructions 8023152, table 32: n scans of 40 ms and 10 ms",
    "BMI088": "Bosch Sensortec BMI088, BST-BMI088-DS001: electrical specifications",
    "VN-100": "VectorNav, bias random walk of its accelerometers as its support states: 5.0e-5 m/s^3/sqrt(Hz)",
    "D435": "Intel RealSense D400 series, data sheet 337029, and Tuning depth cameras for best performance",
    "Cup": "Schmalz, glossary, holding force (60 % vacuum), and Design of the suction cup (factor of 1.5 at least;"
    " friction 0.5)",
    "CSP6400": "Conssin CSP6400-51.2-A: 16 LFP cells in series, 125 Ah, charged by 125 A, 482 mm x 420 mm, 57 kg",
    "LFP cell": "LFP cell 26650 of 4 Ah: at most 18 mohm, charged by 1C, standard 0.5C to 3.65 V",
    "LFP board": "protection board for LFP packs of 20 A: at most 20 mohm",
    "BPX": "About:Energy, LFP 18650 cell (github.com/FaradayInstitution/BPX, examples/lfp_18650_cell_BPX.json)",
    "AGV drives": "Shenghe, AGV drive system design: rolling 0.015 on smooth and 0.025 on rough concrete, two-stage"
    " planetary gears 0.88",
    "AGV wheels": "Planetary gear ratios for AGVs (planetarygearmotor.com): wheels of 150 to 250 mm, 160 mm for 1 m/s",
    "maxon": "maxon catalogue 2015/16: Encoder 16 EASY Absolute, 4,096 steps",
    "BQ35100": "Texas Instruments BQ35100, SLUSCM6E: voltage, temperature and current once a second",
    "Forks": "Redway, weights of fork arms: class I for 1,500 to 3,000 lb is 41 to 68 kg each",
    "SSAB": "SSAB structural hollow sections: 40 mm x 40 mm x 2 mm weighs 2.31 kg/m",
    "DHL": "DHL Express, volumetric weight: 5,000 cm^3 for each kg",
    "CommonRoad": "commonroad-vehicle-models, vehicles 2 (BMW 320i: 4.508 m x 1.610 m, track 1.387 m, wheels of"
    " 0.344 m, steering 1.066 rad and 0.4 rad/s) and 3 (van: 1.844 m wide)",
    "opendbc": "comma opendbc, car/volkswagen: Golf 1,397 kg, 2.62 m; Passat 1,551 kg, 2.79 m;"
    " steerActuatorDelay 0.1 s",
    "openpilot": "comma openpilot (github.com/commaai/openpilot): models run 20, controls 100 times a second",
    "ad-rss-lib": "Intel ad-rss-lib, default parameters: acceleration 3.5 m/s^2, braking 4 and 8 m/s^2",
    "GVT": "Euro NCAP TB 025, Global Vehicle Target: 4,023 mm x 1,712 mm x 1,427 mm",
    "iBooster": "Bosch iBooster: full braking pressure within 120 ms",
    "VLP-16": "Velodyne VLP-16: 100 m, 3 cm, 20 turns a second at most",
    "RT3000": "Oxford Technical Solutions RT3000: heading 0.2 degrees by metre of antenna separation, velocity"
    " 0.05 km/h rms (RT user manual, tables 3 to 5)",
    "GR-3": "Topcon GR-3, operator's manual, specifications: RTK 10 mm and 1 ppm, 10 Hz",
    "Trimble 5700": "Trimble 5700, user guide, table 9.2: RTK with a latency under 20 ms 2 cm and 2 ppm",
    "Kiva": "Kiva's drive units: E. Guizzo, IEEE Spectrum, July 2008",
}  # fmt: skip
"""Products and the document that states the numbers."""

NORMS: Mapping[str, str] = {
    "ISO 3691-4": "Driverless industrial trucks: 0.3 m/s where persons are not detected",
    "ISO 13855": "Positioning of safeguards: persons walk by 1.6 m/s",
    "ISO 13854": "Minimum gaps to avoid crushing: a hand takes 100 mm (EN 349 before)",
    "EN 13698-1": "Flat pallet of 800 mm x 1200 mm: 144 mm high, openings of 227.5 mm x 100 mm, 1,500 kg",
    "EN 13199-1": "Small load carriers of 400 mm x 300 mm (VDA 4500: steps of 132.5 mm in height)",
    "CTU Code": "IMO/ILO/UNECE Code of Practice for Packing of Cargo Transport Units, appendix 2: friction 0.3 of a"
    " wooden pallet on steel, 0.5 of cardboard; moving 0.75 of it",
    "DIN 18101": "Door leaves of 1985 mm",
    "IEC 60034-30": "Efficiency classes of motors: IE3 of four poles, 0.75 kW, 0.825",
    "UN R13-H": "Braking of passenger cars: a mean fully developed deceleration of 6.43 m/s^2 at least",
    "UN R157": "Automated lane keeping: up to 130 km/h; careful drivers brake by 0.774 g after 0.6 s: 12.65 m/s^3",
    "ISO 11270": "Lane keeping assistance: lateral acceleration of 3 m/s^2 at most",
    "ISO 15622": "Adaptive cruise control: braking of 3.5 m/s^2 at most at speed",
    "EU 1230/2012": "Masses of vehicles: 75 kg a person",
    "TR 22.837": "3GPP TR 22.837, 5.28.6: automotive radars: 250 to 300 m, +-0.1 to 0.4 m, +-0.1 to 0.3 degrees, +-0.03"
    " to 0.12 m/s, 5 to 20 a second; sensing in 50 ms, missed detections 10 % at most",
    "SBS": "Smart Battery Data Specification 1.1, RelativeStateOfCharge(): whole per cents",
}
"""Standards and rules of a trade, with what is taken from them."""

PUBLISHED: Mapping[str, str] = {
    "EuRoC": "Burri et al.: The EuRoC micro aerial vehicle datasets, 2016, imu0/sensor.yaml (an ADIS16448)",
    "Chong 1997": "Chong and Kleeman: Accurate odometry and error modelling for a mobile robot, ICRA 1997",
    "Pacejka": "Pacejka: Tyre and vehicle dynamics, chapter 3",
    "Reid 2019": "Reid et al.: Localization requirements for autonomous vehicles: on local streets 0.10 m (95 %), and"
    " an alert limit of 0.29 m",
    "ACCURE": "ACCURE: state of charge estimation errors for LFP batteries: 15 % where nothing corrects them",
}
"""Published measurements."""

NAMED: Mapping[str, Mapping[str, str]] = {"datasheet": DATASHEETS, "norm": NORMS, "measured": PUBLISHED}
"""The documents that a source of each kind names first."""

SAID = 5
"""Characters that a source needs at least beside its kind and documents: a name alone does not say what it gave."""


def fault(source: str) -> str:
    """What is wrong with a source; empty for one that names its document, or the script or test that measures."""
    kind, colon, text = source.partition(": ")
    if not colon or kind not in NAMED:
        return f"expected it to begin with one of {', '.join(NAMED)} and a colon, got {source!r}"
    named = re.findall(r"\[([^\]]+)\]", text)
    if len(re.sub(r"\[[^\]]+\]", "", text).strip()) < SAID:
        return f"expected what was taken from where, got {text!r}"
    known = {name for documents in NAMED.values() for name in documents}
    unknown = [name for name in named if name not in known]
    if unknown:
        return f"expected documents of sim/sources.py, got {unknown[0]!r}; enter it there"
    if kind == "measured" and scripts(source):
        return ""
    if not any(name in NAMED[kind] for name in named):
        return f"expected a {kind} by its name in brackets, got {text!r}"
    return ""


def scripts(source: str) -> list[str]:
    """The committed files that a source names, as paths from the root."""
    return re.findall(r"[\w/]+\.py", source)
