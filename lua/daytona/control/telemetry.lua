-- What the service has noted about a sandbox: what it used, its log, its traces, and
-- how its image was built. Methods of sandboxes, kept apart from their life in
-- sandbox.lua.

local http = require "daytona.http"
local options = require "daytona.base.options"
local url = require "daytona.http.url"
local names = require "daytona.http.names"

local telemetry = {}

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

local function ask(self, operation, path, answer, query)
  local response, err = http.request(self.client:connection_of(operation), {
    path = path, answer = answer, operation = operation, sandbox = self, query = query,
  })
  return response and response.json, err
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
    local field = SERIES[each.metricName]
    for _, point in ipairs(field and tables_in(each.dataPoints) or {}) do
      local time = tostring(point.timestamp)
      local row = by_time[time]
      if not row then
        row = { timestamp = time }
        for _, name in pairs(SERIES) do row[name] = 0 end
        by_time[time], rows[#rows + 1] = row, row
      end
      row[field] = tonumber(point.value) or 0
    end
  end
  table.sort(rows, function(a, b) return a.timestamp < b.timestamp end)
  return rows
end

local METRICS = { from = moment, to = moment }

---What the sandbox used, as the service has noted it, oldest first.
---@param self daytona.Sandbox
---@param opts? { from?: number|string, to?: number|string }  seconds since 1970, or ISO 8601: its creation; now
---@return daytona.Metrics[]?
---@return daytona.Error?
function telemetry.metrics(self, opts)
  opts = options.check("metrics", METRICS, opts)
  local answer, err = ask(self, "metrics", url.path("/sandbox/{}/telemetry/metrics", self.id), "object",
    span_of(self, opts))
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
  local query = span_of(self, opts)
  query.page, query.limit, query.severities, query.search = opts.page, opts.limit, opts.severities, opts.search
  local answer, err = ask(self, operation, url.path("/sandbox/{}/telemetry/" .. operation, self.id), "object", query)
  if not answer then return nil, err end
  local page = names.to_lua(answer)
  if type(page.items) ~= "table" then page.items = {} end
  return page
end

local PAGE = { from = moment, to = moment, page = "positive", limit = "positive" }

local LOGS = { severities = "list", search = "text" }
for name, kind in pairs(PAGE) do LOGS[name] = kind end

---What the service logged about the sandbox, a page at a time (100 entries, or
---`limit`). An entry has `timestamp`, `body`, `severity_text`, `service_name`, ...
---@param self daytona.Sandbox
---@param opts? { from?: number|string, to?: number|string, page?: integer, limit?: integer, severities?: string[], search?: string }  seconds since 1970, or ISO 8601: its creation; now
---@return daytona.TelemetryPage?
---@return daytona.Error?
function telemetry.logs(self, opts)
  return read_page(self, "logs", options.check("logs", LOGS, opts))
end

---The traces of the sandbox, a page at a time (100, or `limit`): `trace_id`,
---`root_span_name`, `start_time`, `duration_ms`, ...
---@param self daytona.Sandbox
---@param opts? { from?: number|string, to?: number|string, page?: integer, limit?: integer }  as `logs`
---@return daytona.TelemetryPage?
---@return daytona.Error?
function telemetry.traces(self, opts)
  return read_page(self, "traces", options.check("traces", PAGE, opts))
end

---The spans of one trace: `span_name`, `timestamp`, `duration_ns`, ...
---@param self daytona.Sandbox
---@param trace_id string
---@return table[]?
---@return daytona.Error?
function telemetry.trace(self, trace_id)
  options.argument("trace: the id", "text", trace_id)
  local answer, err = ask(self, "trace", url.path("/sandbox/{}/telemetry/traces/{}", self.id, trace_id), "list")
  if not answer then return nil, err end
  return names.to_lua(answer)
end

return telemetry
