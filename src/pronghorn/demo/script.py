"""The script of the demonstration's page."""

# ruff: noqa: E501

__all__ = ["SCRIPT"]

SCRIPT = rb"""const $ = id => document.getElementById(id);
const mebibytes = bytes => (bytes / 1048576).toFixed(1) + " MiB";
const milliseconds = ms => ms.toFixed(ms < 10 ? 2 : 0) + " ms";
const trips = [];
let events = 0;

function draw() {
  const top = Math.max(...trips, 1) * 1.15, step = 600 / 59, right = (trips.length - 1) * step;
  const points = trips.map((ms, i) => [i * step, 82 - 78 * ms / top]);
  const line = points.map(([x, y], i) => (i ? "L" : "M") + x.toFixed(1) + " " + y.toFixed(1)).join("");
  document.querySelector("#chart .line").setAttribute("d", line);
  document.querySelector("#chart .area").setAttribute("d", line + `L${right.toFixed(1)} 84L0 84Z`);
  const sorted = [...trips].sort((a, b) => a - b);
  $("latency").textContent = `median ${milliseconds(sorted[sorted.length >> 1])}, last ${milliseconds(trips.at(-1))}`;
}

async function time() {
  const begun = performance.now();
  await (await fetch("/json", {cache: "no-store"})).arrayBuffer();
  trips.push(performance.now() - begun);
  if (trips.length > 60) trips.shift();
  draw();
}

function uptime(seconds) {
  const s = Math.floor(seconds), h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60;
  return h ? `${h} h ${m} min` : m ? `${m} min ${s % 60} s` : `${s} s`;
}

const source = new EventSource("/events");
source.onopen = () => { $("link").className = "live"; $("link").innerHTML = "<span>connected</span>"; };
source.onerror = () => { $("link").className = ""; $("link").innerHTML = "<span>reconnecting</span>"; };
source.onmessage = ({data}) => {
  const now = JSON.parse(data);
  $("clock").firstChild.data = now.time.slice(11, 19);
  $("requests").textContent = now.requests.toLocaleString("en");
  $("streams").textContent = now.streams;
  $("uptime").textContent = uptime(now.uptime);
  $("events").textContent = ++events;
  time().catch(() => {});
};

$("fetch").onclick = async () => {
  const begun = performance.now();
  const response = await fetch("/json");
  const text = await response.text();
  $("fetched").textContent = `${response.status}, ${text.length} bytes in ${milliseconds(performance.now() - begun)}`;
  $("json").textContent = text;
};

async function post(body) {
  const begun = performance.now(), response = await fetch("/echo", {method: "POST", body});
  const parts = [], reader = response.body.getReader();
  let size = 0;
  for (let part; !(part = await reader.read()).done;) { size += part.value.length; parts.push(part.value); }
  $("sent").textContent = `${size} bytes back, ${parts.length} piece${parts.length === 1 ? "" : "s"}, ${milliseconds(performance.now() - begun)}`;
  return new Blob(parts);
}
$("send").onclick = async event => {
  event.preventDefault();
  $("echoed").textContent = await (await post($("text").value)).text();
};
$("large").onclick = async () => {
  const back = await post(new Uint8Array(4 * 1048576).fill(112));
  $("echoed").textContent = (await back.slice(0, 400).text()) + " ... " + mebibytes(back.size);
};

function connect(path, state) {
  const socket = new WebSocket(location.origin.replace("http", "ws") + path);
  socket.onopen = () => state("connected");
  socket.onclose = ({code, reason}) => state(`closed: ${code}${reason && " " + reason}`);
  return socket;
}

const socket = connect("/socket", text => { $("socket-state").textContent = text; });
const waiting = [];
let left = 0, since = 0;
socket.onmessage = ({data}) => {
  if (left) {
    if (!--left) {
      const ms = performance.now() - since;
      $("socket-state").textContent = `1,000 messages there and back in ${milliseconds(ms)}`;
    }
    return;
  }
  const line = document.createTextNode(`${data}  (${milliseconds(performance.now() - waiting.shift())})\n`);
  $("socket").prepend(line);
};
$("echo-form").onsubmit = event => {
  event.preventDefault();
  if (left) return;
  waiting.push(performance.now());
  socket.send($("word").value);
};
$("burst").onclick = () => {
  if (left || waiting.length) return;
  since = performance.now();
  left = 1000;
  for (let i = 0; i < 1000; i++) socket.send("message " + i);
};

const chat = connect("/chat", text => { if (text !== "connected") $("me").textContent = text; });
chat.onmessage = ({data}) => {
  const said = JSON.parse(data);
  if (said.you) $("me").textContent = said.you;
  if (said.here) $("here").textContent = said.here;
  if (!said.text) return;
  const item = document.createElement("li"), name = document.createElement("b"), at = document.createElement("time");
  if (said.from === $("me").textContent) item.className = "mine";
  name.textContent = said.from;
  at.textContent = said.at.slice(11, 16);
  item.append(at, name, said.text);
  $("chat").append(item);
  $("chat").scrollTop = $("chat").scrollHeight;
};
$("chat-form").onsubmit = event => {
  event.preventDefault();
  if ($("line").value) chat.send($("line").value);
  $("line").value = "";
};

for (const button of document.querySelectorAll(".get")) button.onclick = async () => {
  const buttons = document.querySelectorAll(".get");
  buttons.forEach(b => b.disabled = true);
  const begun = performance.now(), response = await fetch("/download?length=" + button.dataset.length);
  const total = Number(response.headers.get("content-length")) || 10485760, reader = response.body.getReader();
  let size = 0;
  const show = () => {
    const seconds = (performance.now() - begun) / 1000, percent = 100 * size / total;
    $("progress").style.width = percent + "%";
    $("progress").parentNode.setAttribute("aria-valuenow", percent.toFixed(0));
    $("speed").textContent = mebibytes(size / seconds) + "/s";
    $("received").textContent = `${mebibytes(size)} in ${milliseconds(seconds * 1000)}`;
  };
  for (let part; !(part = await reader.read()).done;) { size += part.value.length; show(); }
  show();
  buttons.forEach(b => b.disabled = false);
};
"""
