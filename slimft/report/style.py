"""How the pages look, in light and dark, on a phone and on paper.

The curves' colours are those of Okabe and Ito (Color Universal Design, 2008), which differ for colour-blind readers
too, some of them lightened on a dark page.
"""

# Curves beyond these begin again with the first, in another line style.
CURVE_COLORS = 7

# A table in which each row is a block of its own; `%` stands for its class.
_STACKED = """
table.%, table.% tbody, table.% tr, table.% th, table.% td { display: block; max-width: none; }
table.% thead { display: none; }
table.% tr { border-bottom: 1px solid var(--line); padding: 6px 0; }
table.% th[scope] { border: 0; font-weight: 650; font-size: 14px; max-width: none; padding: 2px 0; }
table.% td { display: grid; grid-template-columns: minmax(0, 2fr) minmax(0, 3fr); gap: 0 12px; border: 0;
  padding: 2px 0; }
table.% td::before { content: attr(data-title); color: var(--faint); font-size: 13px; }
"""

STYLE = (
    f"""{_STACKED.replace("%", "stacked")}@media (max-width: 700px) {{{_STACKED.replace("%", "stacking")}}}
"""
    + """
:root { color-scheme: light dark; --page: #ffffff; --text: #1c2126; --faint: #616a73; --line: #d9dee3;
  --soft: #f3f5f7; --heat: 0, 94, 168; --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #b8548f; --c4: #c98a00;
  --c5: #2a9fd6; --c6: #1c2126; }
@media screen and (prefers-color-scheme: dark) {
  :root { --page: #14171a; --text: #e6e9ec; --faint: #9aa4ad; --line: #343b42; --soft: #1e2328;
    --heat: 40, 138, 220; --c0: #4aa8e0; --c1: #f0843c; --c2: #2fc79a; --c3: #e08fc0; --c4: #f0b840;
    --c5: #8ad0f5; --c6: #e6e9ec; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 28px 24px 64px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 4px; font-weight: 650; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 44px 0 12px; padding-top: 14px; border-top: 1px solid var(--line); font-weight: 650; }
h3 { font-size: 15px; margin: 22px 0 8px; font-weight: 650; }
p { margin: 8px 0; max-width: 76ch; }
.note, figcaption, .sub { color: var(--faint); font-size: 13px; }
.sub { font-size: 14px; overflow-wrap: anywhere; }
.warning { border-left: 4px solid var(--c1); padding: 6px 12px; background: var(--soft); }
pre { background: var(--soft); padding: 10px 12px; margin: 8px 0; overflow-x: auto; border-radius: 4px;
  font: 13px/1.5 ui-monospace, "Cascadia Mono", Menlo, "DejaVu Sans Mono", monospace; }
pre.wrap { white-space: pre-wrap; overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(124px, 1fr)); gap: 18px 16px;
  margin: 24px 0 0; }
.tiles div { border-top: 3px solid var(--c0); padding-top: 8px; }
dt { color: var(--faint); font-size: 13px; }
dd { margin: 0; font-size: 22px; white-space: nowrap; font-weight: 600; line-height: 1.3;
  font-variant-numeric: tabular-nums; }
dd.note { white-space: normal; font-size: 12px; font-weight: 400; line-height: 1.4; }
.scroll { overflow-x: auto; max-width: 100%; margin: 10px 0; }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 12px 4px 0; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
td { overflow-wrap: break-word; max-width: 34em; }
th { color: var(--faint); font-weight: 500; font-size: 13px; white-space: nowrap; }
.n { text-align: right; white-space: nowrap; padding-left: 6px; }
.whole { display: inline-block; white-space: nowrap; max-width: 34em; overflow: hidden; text-overflow: ellipsis;
  vertical-align: top; }
table.stacking td, table.stacking th { overflow-wrap: break-word; white-space: normal; }
table.stacking th[scope] { color: var(--text); min-width: 7em; max-width: 16em; overflow-wrap: anywhere; }
table.even { table-layout: fixed; width: 100%; }
.best { font-weight: 700; }
.best::after { content: " \\2605"; color: var(--c4); }
.bar { display: inline-block; vertical-align: middle; height: 9px; margin-right: 10px; width: 90px;
  text-align: left; background: var(--soft); }
.figure { display: inline-block; min-width: 4em; }
.bar i { display: block; height: 9px; background: var(--c0); min-width: 1px; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(310px, 100%), 1fr)); gap: 20px 28px; }
figure { margin: 0; min-width: 0; display: flex; flex-direction: column; }
figcaption { margin-bottom: 4px; }
figcaption b { color: var(--text); font-size: 14px; font-weight: 600; display: block; }
.key { display: inline-block; margin-right: 14px; overflow-wrap: anywhere; }
.key svg { width: 22px; height: 8px; vertical-align: middle; margin-right: 5px; display: inline; }
figure > svg { display: block; width: 100%; margin-top: auto; height: auto; overflow: visible; }
figure > svg text { font-family: inherit !important; }
details { margin: 10px 0; } summary { cursor: pointer; color: var(--c0); font-size: 14px; }
table.heat { border-collapse: separate; border-spacing: 1px; font-size: 12px; }
table.heat td, table.heat th { border: 0; padding: 3px 4px; }
table.heat td { text-align: center; vertical-align: middle; min-width: 34px; background: var(--soft); }
table.heat.dense td { min-width: 23px; font-size: 11px; padding: 2px; }
table.heat.small td { min-width: 13px; height: 13px; padding: 0; }
table.heat thead th { vertical-align: bottom; }
table.heat thead span { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 130px;
  display: inline-block; overflow: hidden; text-overflow: ellipsis; }
table.heat tbody th { text-align: right; max-width: 180px; overflow: hidden; text-overflow: ellipsis; }
table.heat td.right { outline: 1px solid var(--faint); outline-offset: -1px; }
table.heat td.strong { color: #ffffff; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(140px, 1fr)); gap: 20px 16px; }
.pictures img { width: 100%; aspect-ratio: 1; object-fit: contain; background: var(--soft); display: block; }
.pictures .blank { aspect-ratio: 1; background: var(--soft); display: grid; place-items: center;
  color: var(--faint); font-size: 12px; }
.pictures figcaption { margin: 6px 0 0; line-height: 1.4; overflow-wrap: anywhere; }
.pictures figcaption b { font-size: 13px; }
.colour { display: inline-block; width: 12px; height: 12px; margin-right: 7px; vertical-align: -1px;
  border: 1px solid var(--faint); }
.legend { max-width: none; font-size: 13px; }
.triples { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(480px, 100%), 1fr)); gap: 22px 24px; }
.triples figure > div { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 6px; }
.triples img { width: 100%; display: block; }
.triples img[src^="data:image/png"] { image-rendering: pixelated; }
.triples .blank { aspect-ratio: 1; background: var(--soft); display: grid; place-items: center;
  color: var(--faint); font-size: 12px; }
.triples figcaption { margin: 2px 0 0; line-height: 1.4; overflow-wrap: anywhere; }
@media (max-width: 600px) { main { padding: 18px 14px 48px; } h1 { font-size: 21px; } dd { font-size: 20px; }
  .tiles { grid-template-columns: repeat(auto-fit, minmax(115px, 1fr)); } .bar { display: none; } }
@media print { body { font-size: 12px; } main { max-width: none; padding: 0; } h2 { break-after: avoid; }
  figure, tr, .tiles div { break-inside: avoid; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; } }
"""
)
