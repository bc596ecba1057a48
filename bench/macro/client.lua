-- What wrk sends, and its result as one line of JSON.   wrk ... -s client.lua URL -- WORK
-- The request is made once: a global `request` function would make wrk call Lua for each.

local BROWSER = {
  ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
  ["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
  ["Accept-Language"] = "en-GB,en;q=0.7,de;q=0.3",
  ["Accept-Encoding"] = "gzip, deflate, br, zstd",
  ["Referer"] = "http://localhost/articles/2026/11/pronghorn?page=2",
  ["Cookie"] = "session=3b1f8c6de2a94d0f9a77; theme=dark; consent=necessary",
  ["Upgrade-Insecure-Requests"] = "1",
  ["Sec-Fetch-Dest"] = "document",
  ["Sec-Fetch-Mode"] = "navigate",
  ["Sec-Fetch-Site"] = "same-origin",
  ["Cache-Control"] = "max-age=0",
} -- and Host: twelve

local WORKS = {
  headers = { headers = BROWSER },
  pipelined = { depth = 16 },
  closing = { headers = { ["Connection"] = "close" } },
  post1k = { body = 1024 },
  post100k = { body = 100 * 1024 },
}

function init(args)
  local work = WORKS[args[1]] or {}
  for name, value in pairs(work.headers or {}) do wrk.headers[name] = value end
  local method, body = "GET", nil
  if work.body then method, body = "POST", string.rep("x", work.body) end
  local bytes = string.rep(wrk.format(method, "/", wrk.headers, body), work.depth or 1)
  wrk.format = function() return bytes end -- wrk calls it once more, after this
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"seconds":%.6f,"bytes":%d,"p50":%.1f,"p99":%.1f,"errors":%d}\n',
    summary.requests, summary.duration / 1e6, summary.bytes, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
