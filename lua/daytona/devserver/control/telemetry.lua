-- Telemetry of sandboxes, as far as there is something to tell: what their daemons
-- measured while they ran, the changes of their state as log entries, and the requests
-- that a running daemon has answered as traces of one span. Kept in memory only.

local cqueues = require "cqueues"
local httpd = require "daytona.devserver.http"
local checks = require "daytona.devserver.control.checks"
local params = require "daytona.devserver.control.params"
local json = require "daytona.devserver.http.json"

local telemetry = {}

local INTERVAL = 60        -- seconds between samples, on the service's clock
local SHORTEST = 1         -- and in fact, at least
local LIMIT = 1440         -- samples and entries kept of a sandbox

local SERVICE = "daytona-devserver"

-- Name of a series -> what the daemon calls it.
local SERIES = {
  ["daytona.sandbox.cpu.utilization"] = "cpuUsedPct",
  ["daytona.sandbox.cpu.limit"] = "cpuCount",
  ["daytona.sandbox.memory.usage"] = "memUsed",
  ["daytona.sandbox.memory.limit"] = "memTotal",
  ["daytona.sandbox.memory.cache"] = "memCache",
  ["daytona.sandbox.filesystem.usage"] = "diskUsed",
  ["daytona.sandbox.filesystem.total"] = "diskTotal",
}

local function keep(list, value)
  if #list >= LIMIT then table.remove(list, 1) end
  list[#list + 1] = value
end

-- Parameters ----------------------------------------------------------------------------

-- The span of time asked for: a function that says whether a moment is in it.
local function span_of(req)
  local from, to = params.time(req, "from"), params.time(req, "to")
  if not from or not to then checks.bad("from and to must be valid ISO 8601 date strings") end
  return function(time) return time >= from and time <= to end
end

-- One page of a list, newest first.
local function page_of(req, list)
  local page, limit = params.integer(req, "page", 1) or 1, params.integer(req, "limit", 1, 1000) or 100
  table.sort(list, function(a, b) return a.time > b.time end)
  local items = json.array {}
  for i = (page - 1) * limit + 1, math.min(page * limit, #list) do items[#items + 1] = list[i].item end
  return { items = items, total = #list, page = page, totalPages = math.ceil(#list / limit) }
end

-- Metrics -------------------------------------------------------------------------------

local function sample(context, box)
  local values = json.decode(context.push(box, "GET", "/system/metrics") or "")
  if type(values) ~= "table" then return end
  values.time = context.clock:now()
  box.samples = box.samples or {}
  keep(box.samples, values)
end

function telemetry.metrics(context, box, req)
  local within, wanted = span_of(req), params.set(req, "metricNames")
  sample(context, box)
  local series = json.array {}
  for name, field in pairs(SERIES) do
    local points = json.array {}
    for _, values in ipairs(box.samples or {}) do
      if within(values.time) then
        points[#points + 1] = { timestamp = httpd.timestamp(values.time), value = values[field] }
      end
    end
    if not wanted or wanted[name] then series[#series + 1] = { metricName = name, dataPoints = points } end
  end
  table.sort(series, function(a, b) return a.metricName < b.metricName end)
  return { series = series }
end

---Samples the sandboxes whose daemon runs, for ever; runs in a coroutine of its own.
---@param context table  as routes.add has it
function telemetry.run(context)
  while true do
    cqueues.sleep(math.max(SHORTEST, INTERVAL / context.clock.scale))
    for _, box in pairs(context.store.by_id) do
      if box.daemon and box.daemon:running() then cqueues.running():wrap(sample, context, box) end
    end
  end
end

-- Logs ----------------------------------------------------------------------------------

local FAILED = { error = true, build_failed = true }

---Notes that a sandbox has come into its state.
---@param box table
---@param now number
function telemetry.note(box, now)
  box.entries = box.entries or {}
  keep(box.entries, { time = now, state = box.state, reason = box.error_reason })
end

local function log_entry(box, entry)
  local failed = FAILED[entry.state]
  return {
    timestamp = httpd.timestamp(entry.time), serviceName = SERVICE,
    body = "sandbox is " .. entry.state .. (failed and entry.reason and ": " .. entry.reason or ""),
    severityText = failed and "ERROR" or "INFO", severityNumber = failed and 17 or 9,
    resourceAttributes = { ["sandbox.id"] = box.id }, logAttributes = { state = entry.state },
  }
end

function telemetry.logs(_, box, req)
  local within, severities = span_of(req), params.set(req, "severities")
  local text = (req.query.search or ""):lower()
  local list = {}
  for _, entry in ipairs(box.entries or {}) do
    local item = log_entry(box, entry)
    if within(entry.time) and (not severities or severities[item.severityText])
      and item.body:lower():find(text, 1, true) then
      list[#list + 1] = { time = entry.time, item = item }
    end
  end
  return page_of(req, list)
end

-- Traces --------------------------------------------------------------------------------

-- The requests that the daemon has answered: { trace_id, span_id, name, started, seconds,
-- status }. What it noted last stays when it ends.
local function spans(context, box)
  local list = json.decode(context.push(box, "GET", "/__devserver/spans") or "")
  if type(list) == "table" then box.spans = list end
  return box.spans or {}
end

local function status_code(span)
  return span.status >= 500 and "Error" or "Ok"
end

function telemetry.traces(context, box, req)
  local within, list = span_of(req), {}
  for _, span in ipairs(spans(context, box)) do
    if within(span.started) then
      list[#list + 1] = { time = span.started, item = {
        traceId = span.trace_id, rootSpanName = span.name, spanCount = 1, durationMs = span.seconds * 1000,
        startTime = httpd.timestamp(span.started), endTime = httpd.timestamp(span.started + span.seconds),
        statusCode = status_code(span),
      } }
    end
  end
  return page_of(req, list)
end

function telemetry.trace(context, box, req)
  for _, span in ipairs(spans(context, box)) do
    if span.trace_id == req.params.trace then
      return json.array { {
        traceId = span.trace_id, spanId = span.span_id, spanName = span.name,
        timestamp = httpd.timestamp(span.started), durationNs = math.floor(span.seconds * 1e9),
        spanAttributes = { ["http.status_code"] = tostring(span.status), ["sandbox.id"] = box.id },
        statusCode = status_code(span),
      } }
    end
  end
  httpd.fail(404, nil, ("Trace %s not found"):format(req.params.trace))
end

return telemetry
