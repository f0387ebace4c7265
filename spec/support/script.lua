-- The service, played by a script: each request must be the next that a spec expects,
-- and gets the answer that the script has for it. Nothing is sent, nothing sleeps.
--
--   local script = require "spec.support.script"
--   before_each(script.begin)   after_each(script.finish)
--   script.expect({ "^POST /sandbox$", script.ok { id = "a" } }, { "^GET ", script.lost "reset" })
--   script.client  script.seen  script.bodies  script.slept
--
-- An answer is a function of the request that returns what http.request does.

local daytona = require "daytona"
local errors = require "daytona.base.errors"
local failure = require "daytona.http.failure"
local http = require "daytona.http"
local loop = require "daytona.loop"

local real_request, real_sleep, real_now = http.request, loop.sleep, loop.now

local M = { real_sleep = real_sleep }

local rows

---What is expected from now on; each row a pattern of "METHOD path" and an answer. A row
---with `often = true` answers as many requests as come.
function M.expect(...)
  rows = { ... }
end

---A 200 with that JSON.
function M.ok(json, status)
  return function() return { status = status or 200, json = json, body = json == nil and "" or "{}" } end
end

---A failure as the service tells it.
function M.answered(status, message, headers)
  return function()
    return nil, failure.from_response {
      status = status, headers = headers, json = { message = message, statusCode = status, error = "Error" },
    }
  end
end

---No answer.
function M.lost(code)
  return function()
    local err = failure.from_transport(code)
    err.sent = code ~= "connect" and code ~= "resolve"
    return nil, err
  end
end

local function step(connection, request)
  local line = request.method .. " " .. request.path
  M.seen[#M.seen + 1] = line
  M.bodies[#M.bodies + 1] = request.json or false
  M.queries[#M.queries + 1] = request.query or false
  local row = rows[1]
  assert(row, "not expected: " .. line)
  if row.often and not line:find(row[1]) then
    table.remove(rows, 1)
    row = rows[1]
    assert(row, "not expected: " .. line)
  end
  assert(line:find(row[1]), line .. " is not " .. row[1])
  if not row.often then table.remove(rows, 1) end
  local response, err = row[2](request, connection)
  if not response then
    err.operation, err.sandbox, err.what = request.operation, request.sandbox, request.what
    return nil, err
  end
  local flaw = request.flaw and request.flaw(response.json, request)
  if flaw then
    return nil, errors.new { kind = "protocol", code = "json", message = flaw, operation = request.operation }
  end
  return response
end

---Makes the client and takes the wire away. What sleeps goes on at once, and the clock
---with it.
function M.begin()
  M.client = assert(daytona.new { api_key = "k", api_url = "http://127.0.0.1:1", events = false })
  M.seen, M.bodies, M.queries, M.slept, rows = {}, {}, {}, 0, {}
  local start = real_now()
  http.request = step
  loop.sleep = function(seconds)
    M.slept = M.slept + seconds
    return true
  end
  loop.now = function() return start + M.slept end
end

---Gives the wire back; nothing expected may be left over.
function M.finish()
  http.request, loop.sleep, loop.now = real_request, real_sleep, real_now
  for _, row in ipairs(rows) do assert(row.often, "did not come: " .. row[1]) end
end

---How many of the requests match.
function M.count(pattern)
  local n = 0
  for _, line in ipairs(M.seen) do
    if line:find(pattern) then n = n + 1 end
  end
  return n
end

return M
