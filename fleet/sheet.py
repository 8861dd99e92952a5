"""A page of one file that loads nothing: a title, cards, and tables in them. What a run and a validation are shown on.

Titles, notes and words are plain text and are escaped here; contents and the cells of a table are HTML.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

STYLE = """
:root{--ink:#1d2733;--soft:#5b6878;--faint:#c3ccd6;--line:#e4e9ee;--paper:#f5f7f9;--card:#fff;
--a:#2369b8;--b:#e08a1e;--c:#c0392b;--d:#2e9e6b;--e:#7d4cb3;--good:#1f8a55}
@media(prefers-color-scheme:dark){:root{--ink:#e8edf3;--soft:#9aa8b7;--faint:#4c5866;--line:#2c3540;--paper:#12171d;
--card:#1a2129;--a:#5aa2ee;--b:#f0a84a;--c:#ef6b5c;--d:#4cc48c;--e:#b28ae6;--good:#4cc48c}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1180px;margin:0 auto;padding:28px 20px 60px}h1{font-size:26px;margin:0}h2{font-size:17px;margin:0 0 10px}
.sub{color:var(--soft);margin:2px 0 20px}.good{color:var(--good)}.bad{color:var(--c)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(185px,1fr));gap:12px;margin-bottom:16px}
.tile,.card{background:var(--card);border:1px solid var(--line);border-radius:10px}
.tile{padding:12px 16px}.tile b{display:block;font-size:25px;font-weight:650;font-variant-numeric:tabular-nums}
.tile span{color:var(--soft);font-size:13px}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,520px),1fr));gap:16px}
.card{padding:16px 18px;overflow:hidden}.wide{grid-column:1/-1}.note{color:var(--soft);font-size:13px;margin:8px 0 0}
svg{width:100%;height:auto;display:block}svg text{font-size:12px;fill:var(--soft)}svg .value{fill:var(--ink)}
svg .grid{stroke:var(--line)}.map{width:100%;image-rendering:pixelated;border-radius:6px;display:block}
.maps{display:grid;grid-template-columns:minmax(0,7fr) minmax(0,3fr);gap:18px}
.legend{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:13px;color:var(--soft);margin-top:8px}
.legend i{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:6px}
table{border-collapse:collapse;width:100%;font-size:13.5px;font-variant-numeric:tabular-nums}
td,th{text-align:left;padding:4px 10px 4px 0;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:500}td.n,th.n{text-align:right}code{font-size:12.5px;overflow-wrap:anywhere}
.scale{height:12px;border-radius:6px;background:linear-gradient(90deg,#fdf6de,#fcd378,#f0823c,#b02a5a,#420a68)}
.ends{display:flex;justify-content:space-between;font-size:12px;color:var(--soft)}
"""


def sheet(name: str, title: str, subtitle: str, content: str) -> str:
    """The page: `name` is the browser's, `title` and `subtitle` stand above the content."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(name)}</title><style>{STYLE}</style></head><body><main>"
        f'<h1>{html.escape(title)}</h1><p class="sub">{html.escape(subtitle)}</p>{content}</main></body></html>\n'
    )


def cards(found: Sequence[str]) -> str:
    """Cards beside and below one another; empty ones are left out."""
    return f'<div class="cards">{"".join(found)}</div>'


def card(title: str, content: str, note: str = "", *, wide: bool = False) -> str:
    """A card with a title, and a note below its content; a wide one has the whole width."""
    text = f'<p class="note">{html.escape(note)}</p>' if note else ""
    return f'<section class="card{" wide" if wide else ""}"><h2>{html.escape(title)}</h2>{content}{text}</section>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 0) -> str:
    """A table whose cells are HTML; the last `numbers` columns are set right. No head where all its words are empty."""
    kinds = [""] * (len(head) - numbers) + [' class="n"'] * numbers
    top = "".join(f"<th{kind}>{name}</th>" for kind, name in zip(kinds, head, strict=True)) if any(head) else ""
    lines = (
        "<tr>" + "".join(f"<td{kind}>{value}</td>" for kind, value in zip(kinds, row, strict=True)) + "</tr>"
        for row in rows
    )
    return f"<table>{f'<tr>{top}</tr>' if top else ''}{''.join(lines)}</table>"
