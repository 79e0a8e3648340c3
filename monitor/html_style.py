"""How a report in HTML looks: quiet, light or dark as the reader's system is, and on paper.

Text has a contrast of at least 4.5 : 1 on its ground. Source: WCAG 2.2, 1.4.3. No font is fetched: those of the system.
"""

from typing import Final

CSS: Final = """
:root {
  color-scheme: light dark;
  --ground: #ffffff; --card: #f6f8fa; --line: #d9dfe6; --text: #17202b; --quiet: #4e5a68; --accent: #0b5394;
  --good: #0b6b3a; --notice: #0b5394; --warning: #8a4b00; --error: #a61b1b; --critical: #8e1246;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0f141a; --card: #171e27; --line: #2c3744; --text: #e8edf3; --quiet: #a9b4c0; --accent: #7db8f2;
    --good: #5fd08f; --notice: #7db8f2; --warning: #f0b35a; --error: #ff8d86; --critical: #ff86b3;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 1100px; padding: 40px 32px 64px; background: var(--ground); color: var(--text);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere;
}
h1 { font-size: 27px; line-height: 1.25; margin: 0 0 8px; font-weight: 650; letter-spacing: -0.01em; }
h2 { font-size: 19px; line-height: 1.3; margin: 44px 0 14px; font-weight: 650; }
h3 { font-size: 15px; line-height: 1.4; margin: 0 0 8px; font-weight: 600; }
p { margin: 0 0 12px; max-width: 78ch; }
.quiet { color: var(--quiet); font-size: 13.5px; }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
nav { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 20px 0 0; padding: 12px 0; font-size: 13.5px;
  border-block: 1px solid var(--line); }
code { font: 0.88em ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  background: var(--card); border-radius: 4px; padding: 1px 3px; white-space: pre-wrap; }
h1 code, h2 code, h3 code, dl.cards code, .note code { background: none; padding: 0; }
h1 code { font-weight: 400; }
ul, ol { margin: 0 0 12px; padding-left: 22px; max-width: 82ch; }
li { margin: 4px 0; }
pre { margin: 0 0 12px; padding: 12px 16px; background: var(--card); border-radius: 8px; overflow-x: auto;
  font: 12.5px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.scroll { overflow-x: auto; margin: 0 0 16px; }
table { border-collapse: collapse; font-size: 13.5px; }
.wide { width: 100%; }
th { text-align: left; font-weight: 600; color: var(--quiet); border-bottom: 1px solid var(--line); }
th, td { padding: 6px 14px 6px 0; vertical-align: top; }
tr + tr td { border-top: 1px solid var(--line); }
td { overflow-wrap: normal; }
td code { overflow-wrap: anywhere; }
.wide td:has(code) { min-width: 130px; }
.wide td:first-child { min-width: 180px; }
.r { text-align: right; white-space: nowrap; }
th, th.r { white-space: normal; vertical-align: bottom; overflow-wrap: normal; }
tr > :last-child { padding-right: 0; }
dl.facts { display: grid; grid-template-columns: minmax(120px, max-content) 1fr; margin: 0 0 16px; font-size: 14px; }
dl.facts > * { padding: 6px 0; border-top: 1px solid var(--line); margin: 0; }
dl.facts > :nth-child(-n + 2) { border-top: 0; }
dl.facts dt { color: var(--quiet); padding-right: 28px; }
dl.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); gap: 12px; margin: 4px 0 18px; }
dl.cards div { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px 16px 14px; }
dl.cards dt { color: var(--quiet); font-size: 13px; }
dl.cards dd { margin: 2px 0 0; font-size: 17px; font-weight: 600; line-height: 1.35; }
.note { background: var(--card); border-radius: 8px; border-left: 4px solid var(--edge, var(--line));
  padding: 14px 18px 6px; margin: 0 0 14px; }
.note h3 b { color: var(--edge); font-weight: 650; }
.info { --edge: var(--quiet); } .notice { --edge: var(--notice); } .warning { --edge: var(--warning); }
.error { --edge: var(--error); } .critical { --edge: var(--critical); }
dd.excellent, dd.better, dd.running { color: var(--good); }
dd.problems, dd.worse, dd.stalled, dd.warning { color: var(--warning); }
dd.abnormal, dd.error { color: var(--error); } dd.critical { color: var(--critical); }
.charts { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 14px; margin-bottom: 16px; }
figure { margin: 0; border: 1px solid var(--line); border-radius: 10px; overflow: hidden; break-inside: avoid; }
figure svg { display: block; width: 100%; height: auto; }
figure:only-child { grid-column: 1 / -1; max-width: 620px; }
.dark { display: none; }
@media (prefers-color-scheme: dark) { .dark { display: block; } .light { display: none; } }
footer { margin-top: 48px; padding-top: 16px; border-top: 1px solid var(--line);
  color: var(--quiet); font-size: 13.5px; }
@media (max-width: 720px) {
  body { padding: 24px 16px 40px; }
  h1 { font-size: 22px; }
  .charts { grid-template-columns: minmax(0, 1fr); }
  dl.cards { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 8px; }
  dl.cards div { padding: 10px 12px; }
  dl.cards dd { font-size: 15px; }
  dl.facts { grid-template-columns: 1fr; }
  dl.facts dd { border-top: 0; padding-top: 0; }
  dl.facts > :nth-child(2) { padding-top: 0; }
  .wide { min-width: 640px; }
}
@media print {
  @page { margin: 16mm 14mm; }
  :root { color-scheme: light;
    --ground: #ffffff; --card: #ffffff; --line: #c9d0d8; --text: #000000; --quiet: #3c4652; --accent: #000000;
    --good: #0b6b3a; --notice: #0b5394; --warning: #8a4b00; --error: #a61b1b; --critical: #8e1246; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  h2, h3 { break-after: avoid; }
  h2 { margin-top: 24px; }
  .note, dl.cards div { break-inside: avoid; }
  p:has(+ .scroll), p:has(+ pre) { break-after: avoid; }
  dl.cards dd { font-size: 12pt; }
  .note { border: 1px solid var(--line); border-left: 4px solid var(--edge); }
  dl.cards { grid-template-columns: repeat(3, 1fr); }
  .scroll { overflow: visible; }
  table { font-size: 8.5pt; }
  .wide { min-width: 0; }
  .wide td:first-child, .wide td:has(code) { min-width: 84px; }
  .many, .many code { font-size: 7pt; }
  .many th, .many td { padding: 3px 6px 3px 0; }
  tr { break-inside: avoid; }
  .dark { display: none; } .light { display: block; }
}
"""
