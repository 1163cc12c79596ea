"""Looks of what viser has no widget for."""

from __future__ import annotations

import html

from wm_mpc.view.stage import NARROW, TELEPHONE_SHARE, Stage

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
.wm-goal-aborted td:nth-child(2), .wm-goal-missed td:nth-child(2) { color: #ef5350; }
.wm-goal-ended { opacity: .6; }
.wm-none { margin: .3em .8em; opacity: .6; font-size: 12px; }
.wm-said { margin: .1em .6em .4em; padding: .35em .7em; border-radius: 6px; font-size: 12px;
  background: color-mix(in srgb, var(--wm-tone) 15%, transparent); overflow-wrap: anywhere; }
.wm-heading { margin: .5em .75em .1em; font-size: 12px; opacity: .75; }
.wm-bar { height: 6px; border-radius: 3px; background: rgba(128,128,128,.25); margin: .4em 0; }
div:has(> .wm-source) + div, div:has(> .wm-ghost) + div { display: none; }
.wm-stage { position: absolute; left: 0; top: 0; width: 100%; height: 100%; z-index: 1;
  object-fit: contain; pointer-events: none; }
@media (max-width: 576px) {
  div[style*="; width: 20em"], div[style^="width: 20em"] { width: 100% !important; }
}
.wm-bar > div { height: 100%; border-radius: 3px; background: var(--wm-tone); }
"""
_IDLE_DPR, _SOFTWARE_DPR = 0.05, 0.5
_SOFTWARE_PERIOD = 1000  # ms between two drawings of the scene, which then take a whole processor
_SIDES = ("left", "top", "right", "bottom")
# The picture of the stage is an image of viser, hidden where it belongs. This script lays it over
# viser's canvas, which is for scenes of three dimensions: drawn there, each picture would keep a
# browser without a graphics card busy for a quarter of a second. Clicks go through to the canvas.
# viser draws its empty canvas once a second; with few pixels that costs nothing. Without a graphics
# card, the scene has fewer pixels, and is drawn once a second and whenever a person turns it.
_SCRIPT = f"""
document.title = "{TITLE}";
if (!window.wmStage) {{
  const stage = window.wmStage = document.createElement("canvas");
  stage.className = "wm-stage";
  // Panels that are closed take what is in them away.
  document.head.append(document.querySelector(".wm-style").cloneNode(true));
  let shown = "", source = null, ghost = null, mine = {{}};
  const draw = () => {{
    if (!source || !source.complete || !source.naturalWidth) return;
    const key = source.src + (ghost ? ghost.src : "");
    if (key === shown) return;
    shown = key;
    if (stage.width !== source.naturalWidth) stage.width = source.naturalWidth;
    if (stage.height !== source.naturalHeight) stage.height = source.naturalHeight;
    const pen = stage.getContext("2d");
    pen.globalAlpha = 1;
    pen.drawImage(source, 0, 0);
    if (!ghost || !ghost.complete || !ghost.naturalWidth) return;
    pen.globalAlpha = 0.4;
    pen.drawImage(ghost, mine.left, mine.top, mine.right - mine.left, mine.bottom - mine.top);
  }};
  const drawnInSoftware = (canvas) => {{
    const pen = canvas.getContext("webgl2");
    const names = pen && pen.getExtension("WEBGL_debug_renderer_info");
    const name = names ? pen.getParameter(names.UNMASKED_RENDERER_WEBGL) : "";
    return /swiftshader|llvmpipe|softpipe|software/i.test(name);
  }};
  let software = null, rare = null, asked = 0, drawn = 0;
  const drawRarely = () => {{
    const viser = window.__viserMutable;
    if (!viser || viser.requestRender === rare) return;
    const now = viser.requestRender;
    viser.requestRender = rare = () => {{
      clearTimeout(asked);
      const wait = drawn + {_SOFTWARE_PERIOD} - performance.now();
      asked = setTimeout(() => {{ drawn = performance.now(); now(); }}, Math.max(0, wait));
    }};
  }};
  const look = () => {{
    const canvas = document.querySelector("canvas[data-engine]");
    if (!canvas) return;
    const room = canvas.parentElement;
    if (stage.parentElement !== room) {{ room.style.position = "relative"; room.append(stage); }}
    const narrow = room.clientWidth <= {NARROW} * room.clientHeight;
    stage.style.height = narrow ? "{100 * TELEPHONE_SHARE}%" : "100%";
    const mark = document.querySelector(".wm-mine");
    if (mark) mine = {{ ...mark.dataset }};
    const is_scene = mine.scene === "1";
    stage.style.display = is_scene ? "none" : "block";
    ghost = mine.ghost === "1" ? document.querySelector("div:has(> .wm-ghost) + div img") : null;
    const settings = (window.__viserTestpoints || {{}}).devSettings;
    if (software === null) software = drawnInSoftware(canvas);
    if (software) drawRarely();
    const sceneDpr = software ? {_SOFTWARE_DPR} : null;
    if (settings) settings.set({{ fixedDpr: is_scene ? sceneDpr : {_IDLE_DPR} }});
    const sources = document.querySelectorAll("div:has(> .wm-source) + div img");
    source = sources[sources.length - 1] || null;
    stage.style.opacity = source ? 1 : 0.3;
    // viser warns of slow drawing in space, which the page has none of unless it is asked for.
    for (const note of document.querySelectorAll(".mantine-Notification-root"))
      if (note.innerText.includes("Software WebGL")) note.style.display = "none";
    draw();
  }};
  setInterval(look, 500);
  new MutationObserver((changes) => {{
    if (source && changes.some((change) => change.target === source))
      source.decode().then(draw).catch(() => 0);
  }}).observe(document.body, {{ attributes: true, attributeFilter: ["src"], subtree: true }});
}}
"""
# A picture of one pixel, which runs this as soon as it is there.
_PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
STAGE_MARK, GHOST_MARK = '<div class="wm-source"></div>', '<div class="wm-ghost"></div>'


def page_html() -> str:
    """What goes into the page once: its looks, its title, and the place of its picture."""
    script = html.escape(_SCRIPT, quote=True)
    style = f'<style class="wm-style">{_CSS}</style>'
    return f'{style}<img src="{_PIXEL}" onload="{script}" hidden alt="">'


def personal_mark(stage: Stage, *, scene: bool, ghost: bool) -> str:
    """What the script has to know of one browser's choices.

    Args:
        stage: Where the camera's picture is in the page's picture.
        scene: Whether the browser shows the scene instead.
        ghost: Whether it shows the goal over the picture.
    """
    box = " ".join(f'data-{side}="{getattr(stage, side)}"' for side in _SIDES)
    return f'<div class="wm-mine" data-scene="{scene:d}" data-ghost="{ghost:d}" {box}></div>'


def heading(text: str) -> str:
    """A small heading."""
    return f'<div class="wm-heading">{html.escape(text)}</div>'
