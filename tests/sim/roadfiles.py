"""Small road files, written for the tests that read them."""

from __future__ import annotations

from pathlib import Path

XODR = """<?xml version="1.0"?>
<OpenDRIVE>
  <header revMajor="1" revMinor="6"/>
{roads}
</OpenDRIVE>
"""


def geometry(s: float, x: float, y: float, heading: float, length: float, shape: str = "<line/>") -> str:
    return f'<geometry s="{s}" x="{x!r}" y="{y!r}" hdg="{heading!r}" length="{length}">{shape}</geometry>'


def lane(identity: int, width: str = "3.5", *, kind: str = "driving", more: str = "") -> str:
    body = f'<width sOffset="0" a="{width}" b="0" c="0" d="0"/>' if width else ""
    return f'<lane id="{identity}" type="{kind}">{body}{more}</lane>'


def section(s: float, left: str = "", right: str = "", centre: str = "") -> str:
    sides = f"<left>{left}</left>" if left else ""
    sides += f'<center><lane id="0" type="none">{centre}</lane></center>'
    sides += f"<right>{right}</right>" if right else ""
    return f'<laneSection s="{s}">{sides}</laneSection>'


def road(
    identity: str,
    length: float,
    plan: str,
    sections: str,
    *,
    link: str = "",
    offset: str = "",
    more: str = "",
    **attributes: str,
) -> str:
    words = {"junction": "-1"} | attributes
    return (
        f'<road id="{identity}" length="{length}" {" ".join(f"{k}={chr(34)}{v}{chr(34)}" for k, v in words.items())}>\n'
        f"<link>{link}</link>\n<planView>\n{plan}\n</planView>\n<lanes>{offset}{sections}</lanes>{more}\n</road>"
    )


def write(path: Path, *roads: str) -> Path:
    path.write_text(XODR.format(roads="\n".join(roads)))
    return path
