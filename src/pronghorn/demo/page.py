"""The demonstration's page: markup and style, with the script in one piece, nothing loaded from elsewhere."""

# ruff: noqa: E501

from pronghorn.demo.script import SCRIPT

__all__ = ["PAGE"]

PAGE = (
    b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Pronghorn</title>
<link rel="icon" href="data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'><path fill='none' stroke='%23c8662a' stroke-width='3' stroke-linecap='round' d='M13.5 29C13 21 8 19 8 11c0-4 2-6.5 5-7.5M8.5 15C6 15 4 13 3.5 10.5M18.5 29C19 21 24 19 24 11c0-4-2-6.5-5-7.5M23.5 15C26 15 28 13 28.5 10.5'/></svg>">
<style>
  :root {
    color-scheme: light dark;
    --ground: #f6f2ea; --card: #fffdf9; --line: #e4dccd; --ink: #2a241d; --soft: #75695a;
    --accent: #b3541e; --accent-ink: #fff9f2; --second: #2c7a68; --well: #f3ede2; --bad: #b3261e;
    --shadow: 0 1px 2px #50381a14, 0 8px 24px #50381a0f;
  }
  @media (prefers-color-scheme: dark) {
    :root {
      --ground: #14120f; --card: #1e1b17; --line: #37312a; --ink: #ece5d9; --soft: #a3978a;
      --accent: #ee9450; --accent-ink: #221307; --second: #6cc5ae; --well: #151310; --bad: #f2877f;
      --shadow: 0 1px 2px #0006, 0 8px 24px #0004;
    }
  }
  * { box-sizing: border-box; }
  body {
    margin: 0; background: var(--ground); color: var(--ink);
    font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  }
  main { max-width: 68rem; margin: 0 auto; padding: 2.5rem 1.25rem 3rem; }
  header { display: flex; align-items: center; gap: 1rem; margin-bottom: 1.75rem; }
  header svg { width: 3.25rem; height: 3.25rem; flex: none; color: var(--accent); }
  h1 { margin: 0; font-size: 1.9rem; line-height: 1.15; letter-spacing: -.02em; }
  header p { margin: .1rem 0 0; color: var(--soft); }
  #link { margin-left: auto; display: flex; align-items: center; gap: .5rem; color: var(--soft); font-size: .9rem; }
  #link::before { content: ""; width: .6rem; height: .6rem; border-radius: 50%; background: var(--bad); }
  #link.live::before { background: var(--second); animation: pulse 2s infinite; }
  @keyframes pulse { 50% { opacity: .35; } }
  @media (prefers-reduced-motion: reduce) { #link.live::before { animation: none; } }
  .grid { display: grid; gap: 1.1rem; grid-template-columns: repeat(6, 1fr); }
  section {
    grid-column: span 3; min-width: 0; background: var(--card); border: 1px solid var(--line);
    border-radius: 14px; padding: 1.2rem 1.3rem 1.3rem; box-shadow: var(--shadow);
  }
  section.wide { grid-column: span 6; }
  h2 { margin: 0; font-size: 1.05rem; }
  h2 + p { margin: .1rem 0 1rem; color: var(--soft); font-size: .92rem; }
  code, pre, output, textarea, .number { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
  .live { display: grid; grid-template-columns: auto 1fr; gap: .5rem 2.5rem; align-items: end; }
  #clock { white-space: nowrap; font-size: clamp(2.6rem, 8vw, 4.4rem); line-height: 1; font-weight: 600; letter-spacing: -.03em; font-variant-numeric: tabular-nums; }
  #clock small { font-size: .32em; color: var(--soft); letter-spacing: 0; font-weight: 400; }
  dl { display: flex; flex-wrap: wrap; gap: .4rem 2rem; margin: 0; justify-content: flex-end; }
  @media (max-width: 46rem) {
    section { grid-column: span 6; } #link span { display: none; }
    .live { grid-template-columns: 1fr; gap: 1rem; } dl { justify-content: flex-start; }
  }
  dt { color: var(--soft); font-size: .8rem; }
  dd { margin: 0; font-size: 1.25rem; font-variant-numeric: tabular-nums; }
  figure { margin: 1.1rem 0 0; }
  #chart { display: block; width: 100%; height: 84px; }
  #chart path.area { fill: var(--accent); opacity: .13; }
  #chart path.line { fill: none; stroke: var(--accent); stroke-width: 2; vector-effect: non-scaling-stroke; stroke-linejoin: round; }
  #chart { border-bottom: 1px solid var(--line); }
  figcaption { color: var(--soft); font-size: .85rem; margin-top: .35rem; }
  button {
    font: inherit; font-weight: 600; color: var(--accent-ink); background: var(--accent); border: 0;
    border-radius: 9px; padding: .45rem 1rem; cursor: pointer;
  }
  button:hover { filter: brightness(1.08); } button:disabled { opacity: .55; cursor: default; }
  button.plain { background: transparent; color: var(--accent); box-shadow: inset 0 0 0 1.5px var(--accent); }
  :is(button, textarea, input, a):focus-visible { outline: 3px solid var(--second); outline-offset: 2px; }
  .row { display: flex; flex-wrap: wrap; align-items: center; gap: .6rem; margin-top: .8rem; }
  .row output, .row .note { color: var(--soft); font-size: .88rem; }
  pre, textarea {
    display: block; width: 100%; margin: 0; padding: .7rem .85rem; border: 1px solid var(--line); border-radius: 9px;
    background: var(--well); color: var(--ink); font-size: .84rem; line-height: 1.45;
  }
  input {
    flex: 1 1 8rem; min-width: 0; font: inherit; padding: .42rem .85rem; border: 1px solid var(--line); border-radius: 9px;
    background: var(--well); color: var(--ink);
  }
  #socket { height: 9rem; margin-top: .8rem; }
  #chat {
    height: 12.2rem; margin: 0; padding: .5rem .85rem; overflow: auto; list-style: none; overflow-wrap: anywhere;
    border: 1px solid var(--line); border-radius: 9px; background: var(--well); font-size: .92rem;
  }
  #chat b { color: var(--accent); margin-right: .5em; } #chat .mine b { color: var(--second); }
  #chat time { float: right; color: var(--soft); font-size: .8rem; margin-left: .6em; }
  pre { height: 15.5rem; overflow: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
  textarea { height: 5.2rem; resize: vertical; } #echoed { height: 5.2rem; margin-top: .8rem; }
  .bar { height: .75rem; border-radius: 1rem; background: var(--well); border: 1px solid var(--line); overflow: hidden; margin-top: 1.1rem; }
  .bar i { display: block; height: 100%; width: 0; background: linear-gradient(90deg, var(--accent), var(--second)); border-radius: 1rem; }
  .number { font-size: 1.9rem; font-weight: 600; letter-spacing: -.02em; margin: .9rem 0 0; min-height: 2.9rem; }
  a { color: var(--accent); } footer { margin-top: 1.6rem; color: var(--soft); font-size: .88rem; }
</style>
</head>
<body>
<main>
  <header>
    <svg viewBox="0 0 32 32" fill="none" stroke="currentColor" stroke-width="2.6" stroke-linecap="round" aria-hidden="true">
      <path d="M13.5 29C13 21 8 19 8 11c0-4 2-6.5 5-7.5M8.5 15C6 15 4 13 3.5 10.5M18.5 29C19 21 24 19 24 11c0-4-2-6.5-5-7.5M23.5 15C26 15 28 13 28.5 10.5"/>
    </svg>
    <div><h1>Pronghorn</h1><p>An ASGI server whose hot paths are compiled. It is running.</p></div>
    <div id="link" role="status"><span>connecting</span></div>
  </header>

  <div class="grid">
    <section class="wide">
      <h2>Live events</h2>
      <p>One response that stays open: the server sends an event every second, and each one times a small request.</p>
      <div class="live">
        <div id="clock" title="the server's clock, UTC">--:--:--<small> UTC</small></div>
        <dl>
          <div><dt>requests</dt><dd id="requests">0</dd></div>
          <div><dt>open streams</dt><dd id="streams">0</dd></div>
          <div><dt>up</dt><dd id="uptime">0 s</dd></div>
          <div><dt>events here</dt><dd id="events">0</dd></div>
        </dl>
      </div>
      <figure>
        <svg id="chart" viewBox="0 0 600 84" preserveAspectRatio="none" role="img" aria-label="round trips"><path class="area"/><path class="line"/></svg>
        <figcaption>round trip of a small request, last minute: <output id="latency">waiting for the first</output></figcaption>
      </figure>
    </section>

    <section>
      <h2>JSON</h2>
      <p>What the application was told about the request, from <a href="/json"><code>/json</code></a>.</p>
      <pre id="json" tabindex="0" aria-live="polite">press the button</pre>
      <div class="row"><button id="fetch">Fetch</button><output id="fetched"></output></div>
    </section>

    <section>
      <h2>Echo</h2>
      <p>Post something to <code>/echo</code>; it streams back as it comes in.</p>
      <form method="post" action="/echo" enctype="text/plain">
        <textarea name="text" id="text" aria-label="text to post" spellcheck="false">The pronghorn is the fastest land animal over distance.</textarea>
        <div class="row">
          <button id="send">Post it</button>
          <button id="large" type="button" class="plain">Post 4 MiB</button>
          <output id="sent"></output>
        </div>
      </form>
      <pre id="echoed" tabindex="0" aria-live="polite"></pre>
    </section>

    <section>
      <h2>WebSocket echo</h2>
      <p>One connection to <code>/socket</code>; each message comes back, and is timed.</p>
      <form id="echo-form" class="row">
        <input id="word" aria-label="message to echo" autocomplete="off" value="Hello, pronghorn">
        <button id="say">Send</button>
        <button id="burst" type="button" class="plain">Send 1,000</button>
      </form>
      <pre id="socket" tabindex="0" aria-live="polite"></pre>
      <div class="row"><output id="socket-state">connecting</output></div>
    </section>

    <section>
      <h2>Chat</h2>
      <p>Everybody who has this page open: try it in a second tab. You are <strong id="me">nobody yet</strong>, <span id="here">0</span> here.</p>
      <ol id="chat" tabindex="0" aria-live="polite"></ol>
      <form id="chat-form" class="row">
        <input id="line" aria-label="chat message" autocomplete="off" maxlength="500" placeholder="Say something">
        <button id="tell">Say it</button>
      </form>
    </section>

    <section class="wide">
      <h2>Download</h2>
      <p>Ten mebibytes in blocks of 64 KiB; the application waits whenever you read slower than it writes.</p>
      <div class="bar" role="progressbar" aria-label="download" aria-valuemin="0" aria-valuemax="100"><i id="progress"></i></div>
      <p class="number" id="speed"></p>
      <div class="row">
        <button data-length="yes" class="get">With a length</button>
        <button data-length="no" class="get plain">In chunks</button>
        <a href="/download">save it as a file</a><output id="received"></output>
      </div>
    </section>
  </div>
  <footer>The page, its style and its script are one response; this application is <code>pronghorn.demo:app</code>.</footer>
</main>

<script>
"""
    + SCRIPT
    + b"""</script>
</body>
</html>
"""
)
