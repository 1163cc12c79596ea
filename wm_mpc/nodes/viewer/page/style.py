"""Looks of what viser has no widget for."""

from __future__ import annotations

TITLE = "wm_mpc viewer"
BRAND = (46, 160, 120)

_CSS = """
.wm-card { margin: .15em .6em .4em; padding: .6em .8em .5em; border-radius: 8px; font-size: 13px;
  border-left: 5px solid var(--wm-tone);
  background: color-mix(in srgb, var(--wm-tone) 11%, transparent); }
.wm-good { --wm-tone: #3ebd93; } .wm-warn { --wm-tone: #f0b429; }
.wm-bad { --wm-tone: #ef5350; } .wm-idle { --wm-tone: #829ab1; }
.wm-line { display: flex; align-items: baseline; justify-content: space-between; gap: .6em; }
.wm-word { font-size: 19px; font-weight: 700; letter-spacing: -.01em; }
.wm-since, .wm-faint { opacity: .65; font-size: 12px; }
.wm-reason { margin: .25em 0 .3em; line-height: 1.35; overflow-wrap: anywhere; }
.wm-facts { width: 100%; border-collapse: collapse; margin-top: .3em; font-size: 12px; }
.wm-facts th { text-align: left; font-weight: 400; opacity: .62; padding: .12em .8em .12em 0;
  white-space: nowrap; vertical-align: top; }
.wm-facts td { text-align: right; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.wm-goals { width: calc(100% - 1.2em); margin: .2em .6em; border-collapse: collapse;
  font-size: 12px; font-variant-numeric: tabular-nums; }
.wm-goals td { padding: .28em .3em; border-bottom: 1px solid rgba(128,128,128,.18);
  vertical-align: top; }
.wm-goals td:nth-child(1) { opacity: .6; } .wm-goals td:nth-child(n+3) { text-align: right; }
.wm-goal-executing { font-weight: 600; } .wm-goal-reached td:nth-child(2) { color: #3ebd93; }
.wm-goal-aborted td:nth-child(2) { color: #ef5350; } .wm-goal-cancelled { opacity: .6; }
.wm-none { margin: .3em .8em; opacity: .6; font-size: 12px; }
.wm-said { margin: .1em .6em .4em; padding: .35em .7em; border-radius: 6px; font-size: 12px;
  background: color-mix(in srgb, var(--wm-tone) 15%, transparent); overflow-wrap: anywhere; }
.wm-heading { margin: .5em .75em .1em; font-size: 12px; opacity: .75; }
.wm-bar { height: 6px; border-radius: 3px; background: rgba(128,128,128,.25); margin: .4em 0; }
.wm-bar > div { height: 100%; border-radius: 3px; background: var(--wm-tone); }
@media (max-width: 576px) { div[style*="width: 20em"] { width: 100% !important; } }
"""
# A picture of one pixel, which tells the browser the title once it is there.
_PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="


def page_html() -> str:
    """What goes into the page once: style and title."""
    return (
        f"<style>{_CSS}</style>"
        f"""<img src="{_PIXEL}" onload="document.title='{TITLE}'" hidden alt="">"""
    )


def heading(text: str) -> str:
    """A small heading."""
    return f'<div class="wm-heading">{text}</div>'
