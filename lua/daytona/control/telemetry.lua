-- What the service has noted about a sandbox: what it used, its log, its traces, and
-- how its image was built. `sb.telemetry`.

local calls = require "daytona.control.calls"
local loop = require "daytona.loop"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"
local sorted = require "daytona.base.sorted"

---@class daytona.Telemetry
---@field sandbox daytona.Sandbox
local Telemetry = {}
Telemetry.__index = Telemetry
Telemetry.__name = "daytona.Telemetry"

local M = {}

---@private
function Telemetry:__tostring()
  return "telemetry of " .. tostring(self.sandbox)
end

---@param sandbox daytona.Sandbox
---@return daytona.Telemetry
function M.new(sandbox)
  return setmetatable({ sandbox = sandbox }, Telemetry)
end

local api = calls.of_service {
  metrics = { "GET", "/sandbox/{sandbox}/telemetry/metrics", "object" },
  logs    = { "GET", "/sandbox/{sandbox}/telemetry/logs", "object" },
  traces  = { "GET", "/sandbox/{sandbox}/telemetry/traces", "object" },
  trace   = { "GET", "/sandbox/{sandbox}/telemetry/traces/{trace}", "list" },
}

--- Spans of time -----------------------------------------------------------------------

local function moment(value)
  return type(value) == "number" or type(value) == "string" and value ~= "", "a time: seconds since 1970, or ISO 8601"
end

local function as_text(value)
  if type(value) == "string" then return value end
  return os.date("!%Y-%m-%dT%H:%M:%SZ", math.floor(value))
end

-- The query of a span of time: till now, its end included, unless it is said.
local function span_of(self, opts)
  local to = as_text(opts.to or os.time() + 1)
  return { from = as_text(opts.from or self.created_at or to), to = to }
end

--- Metrics -----------------------------------------------------------------------------

-- Name of a series -> field.
local SERIES = {
  ["daytona.sandbox.cpu.utilization"] = "cpu_used_pct",
  ["daytona.sandbox.cpu.limit"] = "cpu_count",
  ["daytona.sandbox.memory.usage"] = "mem_used",
  ["daytona.sandbox.memory.limit"] = "mem_total",
  ["daytona.sandbox.memory.cache"] = "mem_cache",
  ["daytona.sandbox.filesystem.usage"] = "disk_used",
  ["daytona.sandbox.filesystem.total"] = "disk_total",
}

-- The tables in what should be a list of them.
local function tables_in(list)
  local out = {}
  for _, item in ipairs(type(list) == "table" and list or {}) do
    if type(item) == "table" then out[#out + 1] = item end
  end
  return out
end

-- Series of points, as the service keeps them, turned into one row a moment.
local function rows_of(series)
  local rows, by_time = {}, {}
  for _, each in ipairs(tables_in(series)) do
    local field = SERIES[each.metric_name]
    for _, point in ipairs(field and tables_in(each.data_points) or {}) do
      local time = tostring(point.timestamp)
      local row = by_time[time]
      if not row then
        row = { timestamp = time }
        for _, name in pairs(SERIES) do row[name] = 0 end
        by_time[time], rows[#rows + 1] = row, row
      end
      row[field] = tonumber(point.value) or 0
      loop.breathe()
    end
  end
  return sorted(rows, function(a, b) return a.timestamp < b.timestamp end, loop.breathe)
end

local METRICS = { from = moment, to = moment }

---What the sandbox used, as the service has noted it, oldest first.
---@param opts? { from?: number|string, to?: number|string }  seconds since 1970, or ISO 8601: its creation; now
---@return daytona.Metrics[]?
---@return daytona.Error?
function Telemetry:metrics(opts)
  opts = options.check("metrics", METRICS, opts)
  local answer, err = api.metrics(self.sandbox, span_of(self.sandbox, opts))
  if not answer then return nil, err end
  return rows_of(answer.series)
end

--- Logs and traces ---------------------------------------------------------------------

---One page of what the service noted.
---@class daytona.TelemetryPage
---@field items table[]
---@field total integer
---@field page integer
---@field total_pages integer

-- Reads one page. Further options go into the query as they are.
local function read_page(self, operation, opts)
  local query = span_of(self.sandbox, opts)
  query.page, query.limit, query.severities, query.search = opts.page, opts.limit, opts.severities, opts.search
  local page, err = api[operation](self.sandbox, query)
  if not page then return nil, err end
  if type(page.items) ~= "table" then page.items = {} end
  return page
end

local PAGE = { from = moment, to = moment, page = "positive", limit = "positive" }

local LOGS = { severities = "list", search = "text" }
for name, kind in pairs(PAGE) do LOGS[name] = kind end

---What the service logged about the sandbox, a page at a time (100 entries, or
---`limit`). An entry has `timestamp`, `body`, `severity_text`, `service_name`, ...
---@param opts? { from?: number|string, to?: number|string, page?: integer, limit?: integer, severities?: string[], search?: string }  seconds since 1970, or ISO 8601: its creation; now
---@return daytona.TelemetryPage?
---@return daytona.Error?
function Telemetry:logs(opts)
  return read_page(self, "logs", options.check("logs", LOGS, opts))
end

---The traces of the sandbox, a page at a time (100, or `limit`): `trace_id`,
---`root_span_name`, `start_time`, `duration_ms`, ...
---@param opts? { from?: number|string, to?: number|string, page?: integer, limit?: integer }  as `logs`
---@return daytona.TelemetryPage?
---@return daytona.Error?
function Telemetry:traces(opts)
  return read_page(self, "traces", options.check("traces", PAGE, opts))
end

---The spans of one trace: `span_name`, `timestamp`, `duration_ns`, ...
---@param trace_id string
---@return table[]?
---@return daytona.Error?
function Telemetry:trace(trace_id)
  options.argument("trace: the id", "text", trace_id)
  return api.trace(self.sandbox, { trace = trace_id })
end

---What the sandbox uses now, as it says itself; see `machine.metrics_latest`.
---@return daytona.Metrics?
---@return daytona.Error?
function Telemetry:metrics_latest()
  return require("daytona.toolbox.machine").metrics_latest(self.sandbox)
end

---How the sandbox's image was built, as far as it is: the builder's log as text. Kind
---"not_found" for a sandbox that was made from a snapshot.
---@param opts? { timeout?: number, max_bytes?: integer }
---@return string?
---@return daytona.Error?
function Telemetry:build_logs(opts)
  return require("daytona.control.build_log").build_logs(self.sandbox, opts)
end

methods.guard(Telemetry, "daytona.Telemetry", "sandbox.telemetry")

return M
