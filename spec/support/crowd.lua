-- A crowd: many processes that share the limits of one organization, and that all listen to
-- its events while the server goes away and comes back.
--
--   local report = require("spec.support.crowd").throttled { processes = 6, rounds = 2, limit = 4, ttl = 2 }
--   report.made failed       sandboxes; calls that failed, with `why` of the last
--   report.refused           answers 429 to creations
--   report.share             of what the limit allows, as long as creations were waited for
--   report.longest report.fair  seconds that one creation waited; all of them by turns, each once
--   report.peak              creations that were asked for in one second, after the first one
--
--   local report = require("spec.support.crowd").returning { processes = 6, away = 1 }
--   report.back              processes that were told of events again
--   report.first report.median report.last   seconds after the server was there again
--   report.peak              of them within one second

local child = require "spec.support.child"
local devserver = require "daytona.devserver"
local loop = require "daytona.loop"

local M = {}

-- Makes and deletes sandboxes by turns, from a moment on that is the same for all.
local MAKER = [[
local url, key, rounds, start = ARG:match "(%S+) (%S+) (%d+) (%S+)"
local client = assert(require "daytona".new { api_url = url, api_key = key, ledger = false })
loop.sleep(math.max(tonumber(start) - loop.now(), 0))
for _ = 1, tonumber(rounds) do
  local begun = loop.now()
  local box, err = client:create { timeout = 1200, owned = false }
  if box then say("made", loop.now() - begun) else say("failed", tostring(err)) end
  local gone
  if box then gone, err = box:delete { timeout = 1200 } end
  if box and not gone then say("failed", tostring(err)) end
end
]]

local LISTENER = [[
local url, key = ARG:match "(%S+) (%S+)"
local client = assert(require "daytona".new { api_url = url, api_key = key })
local events = assert(client:events { timeout = 120 })
say "live"
local event
repeat event = events:next { timeout = 120 } until not event or event.kind == "gap"
say(event and ("%.3f"):format(loop.now()) or "lost")
]]

local function crowd(n, program, arg)
  local list = {}
  for i = 1, n do list[i] = child.start(program, arg) end
  return list
end

-- How many of the moments lie in the second that has most of them. They are in order.
local function peak_of(moments)
  local most, first = 0, 1
  for last, moment in ipairs(moments) do
    while moment - moments[first] >= 1 do first = first + 1 end
    most = math.max(most, last - first + 1)
  end
  return most
end

--- Throttled ---------------------------------------------------------------------------------

-- Creations in the server's log: when they were granted, when asked for, how many refused.
local function creations(server)
  local granted, asked, refused = {}, {}, 0
  for _, request in ipairs(assert(server:requests())) do
    if request.method == "POST" and request.path:find "/sandbox$" then
      asked[#asked + 1] = request.at
      if request.status == 429 then refused = refused + 1 else granted[#granted + 1] = request.at end
    end
  end
  table.sort(granted)
  table.sort(asked)
  return granted, asked, refused
end

-- Part of the limit that was used while creations waited for it: up to the beginning of the
-- last window.
local function share_of(granted, limit, ttl)
  local last = 1
  for i = 2, #granted do
    if granted[i] - granted[i - 1] > ttl / 2 then last = i end
  end
  return last > 1 and (last - 1) / (granted[last] - granted[1]) / (limit / ttl) or nil
end

local function without_first_second(asked)
  local rest = {}
  for _, moment in ipairs(asked) do
    if moment - asked[1] >= 1 then rest[#rest + 1] = moment end
  end
  return rest
end

local function note_said(report, all)
  for _, one in ipairs(all) do
    for word, rest in one:rest():gmatch "(%S+) ([^\n]*)" do
      if word == "made" then
        report.made = report.made + 1
        report.longest = math.max(report.longest, tonumber(rest))
      else
        report.failed, report.why = report.failed + 1, rest
      end
    end
  end
end

---@param opts { processes: integer, rounds: integer, limit: integer, ttl: number, head_start?: number }
function M.throttled(opts)
  local server = assert(devserver.start { throttle = {
    ["sandbox-create"] = { limit = opts.limit, ttl = opts.ttl },
    ["sandbox-lifecycle"] = { limit = opts.limit, ttl = opts.ttl },
    authenticated = { limit = 10 * opts.limit, ttl = opts.ttl },
  } })
  local start = loop.now() + (opts.head_start or opts.processes * 0.02)
  local report = { made = 0, failed = 0, longest = 0, fair = opts.processes * opts.rounds / opts.limit * opts.ttl }
  note_said(report, crowd(opts.processes, MAKER,
    ("%s %s %d %.3f"):format(server.api_url, server.api_key, opts.rounds, start)))
  assert(server:configure { throttle = false })
  local granted, asked, refused = creations(server)
  report.refused, report.share = refused, share_of(granted, opts.limit, opts.ttl)
  report.peak = peak_of(without_first_second(asked))
  server:stop()
  return report
end

--- Returning ----------------------------------------------------------------------------------

---@param opts { processes: integer, away: number }
function M.returning(opts)
  local dir = os.tmpname()
  os.remove(dir)
  local server = assert(devserver.start { dir = dir, key = "crowd" })
  local all = crowd(opts.processes, LISTENER, server.api_url .. " crowd")
  for _, one in ipairs(all) do assert(one:line() == "live") end
  server:stop()
  loop.sleep(opts.away)
  server = assert(devserver.start { dir = dir, key = "crowd", port = tonumber(server.api_url:match ":(%d+)") })
  local there, moments = loop.now(), {}
  for _, one in ipairs(all) do moments[#moments + 1] = tonumber((one:rest():match "%S+")) end
  server:stop()
  os.execute("rm -rf " .. dir)
  table.sort(moments)
  return {
    back = #moments, first = moments[1] and moments[1] - there, last = moments[1] and moments[#moments] - there,
    median = moments[1] and moments[math.ceil(#moments / 2)] - there, peak = peak_of(moments),
  }
end

return M
