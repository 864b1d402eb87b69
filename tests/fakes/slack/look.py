"""The frame of this Slack's pages: plain HTML that says on each page that it is a fake."""

from html import escape

from tests.fakes.slack.wire import Response

STYLE = """
:root { color-scheme: light dark; --bg: light-dark(#FFFFFF, #1A1D21); --around: light-dark(#F4EDE4, #101214); --side: light-dark(#3F0E40, #121016);
  --text: light-dark(#1D1C1D, #D1D2D3); --soft: light-dark(#616061, #ABABAD); --line: light-dark(#DDDDDD, #35373B);
  --pre: light-dark(#F8F8F8, #232529); --code: light-dark(#C0143C, #E8912D); --go: light-dark(#007A5A, #148567); --link: light-dark(#1264A3, #6CB8F0);
  --bad: light-dark(#B3123B, #FF8FA8) }
* { box-sizing: border-box; margin: 0; padding: 0 }
body { min-height: 100vh; background: var(--around); color: var(--text);
  font: 15px/1.4667 Lato, "Slack-Lato", Inter, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif; overflow-wrap: anywhere }
ul { list-style: none } a { color: var(--link) }
.fake { padding: 6px 16px; background: #FFD166; color: #1D1C1D; font-size: 13px; text-align: center }
.card { max-width: 34rem; margin: 2rem auto; padding: 2rem; background: var(--bg); border: 1px solid var(--line); border-radius: 12px }
.card h1 { margin-bottom: 1rem; font-size: 24px; line-height: 1.25; text-align: center; text-wrap: balance }
.card p, .card form, .card ul { margin-top: .75rem } .soft, .hint { color: var(--soft); font-size: 13px }
.hint { margin-top: 1.5rem; padding-top: 1rem; border-top: 1px dashed var(--line) } .card .bad { color: var(--bad); font-weight: 700 }
label { display: block; margin-top: .75rem; font-weight: 700 }
input, select { width: 100%; margin-top: 4px; padding: 10px 12px; border: 1px solid light-dark(#868686, #797C81); border-radius: 6px;
  background: var(--bg); color: var(--text); font: inherit }
.suffix { display: flex; align-items: center; gap: 8px }
button { padding: 9px 16px; border: 1px solid light-dark(#868686, #797C81); border-radius: 6px; background: var(--bg); color: var(--text);
  font: inherit; font-weight: 700; cursor: pointer }
button.go { border-color: transparent; background: var(--go); color: #FFFFFF } .wide { width: 100%; margin-top: 1.25rem }
.buttons { display: flex; justify-content: flex-end; gap: 12px; margin-top: 1.5rem }
.switch { display: flex; flex-wrap: wrap; justify-content: flex-end; align-items: center; gap: 8px 12px; padding: .75rem 1rem 0 }
.switch label { margin: 0; font-weight: 400; white-space: nowrap }
.lines { margin-bottom: 1.5rem } .lines li { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 8px; padding: 6px 0; border-top: 1px solid var(--line) }
.lines form { margin: 0 } .lines button { padding: 2px 10px; font-size: 13px } .switch select { width: auto; max-width: 14rem; margin: 0; padding: 6px 8px }
.scopes li { padding: .5rem 0; border-top: 1px solid var(--line) } .scopes code { float: right; margin-left: 1rem }
code { padding: 2px 3px 1px; border: 1px solid var(--line); border-radius: 3px; background: var(--pre); color: var(--code);
  font: 12px/1.5 Menlo, Consolas, "DejaVu Sans Mono", monospace }
.s-window { display: grid; grid-template-columns: 13rem minmax(0, 1fr); max-width: 66rem; min-height: 30rem; margin: 1.5rem auto;
  background: var(--bg); border: 1px solid var(--line); border-radius: 10px; overflow: hidden }
.s-side { padding: 1rem .75rem; background: var(--side); color: #CFC3CF } .s-side p { padding: 0 .5rem .5rem; color: #FFFFFF; font-weight: 700 }
.s-side ul { margin-bottom: 1rem } .s-side a { display: block; padding: .125rem .5rem; border-radius: 6px; color: inherit; text-decoration: none }
.s-side a[aria-current] { background: #1164A3; color: #FFFFFF } .s-side .s-count { float: right; color: #FFFFFF; font-weight: 700 }
.s-top { display: flex; flex-wrap: wrap; justify-content: space-between; align-items: center; gap: 8px; padding: .75rem 1.25rem; border-bottom: 1px solid var(--line) }
.s-top h1 { font-size: 18px; line-height: 1.3 } .s-acts { display: flex; flex-wrap: wrap; gap: 6px } .s-acts button { padding: 2px 10px; font-size: 13px }
.s-empty { padding: 2rem 1.25rem; color: var(--soft) }
.s-message { display: grid; grid-template-columns: 36px minmax(0, 1fr); gap: 0 8px; padding: 10px 20px }
.s-avatar { display: grid; place-content: center; width: 36px; height: 36px; border-radius: 8px; background: #181A24; color: #9AB5FB; font-weight: 900 }
.s-who { display: flex; align-items: center; gap: 6px } .s-who time { color: var(--soft); font-size: 12px }
.s-app { padding: 0 3px; border-radius: 2px; background: light-dark(#E8E8E8, #35373B); color: var(--soft); font-size: 10px; line-height: 14px; font-weight: 700 }
.s-header { margin: 2px 0 4px; font-size: 18px; line-height: 1.33; font-weight: 900 }
.s-attachment { position: relative; max-width: 44rem; margin-top: 4px; padding-left: 16px }
.s-attachment::before { content: ""; position: absolute; inset: 0 auto 0 0; width: 4px; border-radius: 8px; background: var(--bar, #DDDDDD) }
.s-attachment > * + *, .s-body > * + * { margin-top: 8px } .s-section, .s-rich, .s-fields p { white-space: pre-wrap }
.s-fields { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 8px 16px }
.s-rich + .s-pre { margin-top: 4px }
.s-pre { padding: 8px; border: 1px solid var(--line); border-radius: 4px; background: var(--pre); font: 12px/1.5 Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre-wrap }
.s-quote { padding-left: 12px; border-left: 4px solid var(--line) } .s-list { padding-left: 24px; list-style: disc }
.s-actions { display: flex; flex-wrap: wrap; gap: 8px }
.s-button { padding: 0 12px; border: 1px solid light-dark(#BBBBBB, #565856); border-radius: 8px; color: var(--text); font-size: 13px; font-weight: 700; line-height: 26px; text-decoration: none }
.s-context { color: var(--soft); font-size: 13px; line-height: 1.38 } .s-divider { border: 0; border-top: 1px solid var(--line) }
@media (max-width: 48rem) { .s-window { grid-template-columns: minmax(0, 1fr); margin: 0; border: 0; border-radius: 0 }
  .s-side ul { max-height: 9rem; overflow: auto } .s-message { padding: 10px 12px }
  .card { margin: 1rem; padding: 1.25rem } }
@media (max-width: 26rem) { .s-fields { grid-template-columns: minmax(0, 1fr); gap: 4px } }
"""


def page(title: str, body: str, *, status: int = 200, **headers: str) -> Response:
    html = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{escape(title)} | Fake Slack</title>'
        f"<style>{STYLE}</style></head><body>"
        f'<p class="fake"><strong>Fake Slack.</strong> It runs on this machine, to try Runbell with. Nothing here reaches slack.com.</p>'
        f"{body}</body></html>"
    )
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, html.encode(), headers=names)


def card(title: str, body: str, *, above: str = "", status: int = 200) -> Response:
    return page(title, f'{above}<main class="card"><h1>{escape(title)}</h1>{body}</main>', status=status)


def hidden(fields: dict[str, str]) -> str:
    return "".join(f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in fields.items())
