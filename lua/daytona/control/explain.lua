-- Why a sandbox is as it is: what the service says about it in several places, in one
-- report for people.

local event_stream = require "daytona.control.event_stream"
local printable = require "daytona.base.printable"

local M = {}

local LOG_LINES = 20

---A report: `tostring` of it is for people. What could not be had is absent.
---@class daytona.Report
---@field sandbox daytona.Sandbox
---@field state string
---@field desired_state? string
---@field reason? string
---@field hints string[]     what follows from all of it
---@field events { at: integer, name: string, old?: string, new?: string }[]  that were heard lately, the oldest first
---@field build_log? string  its end
---@field usage? table       of the sandbox's region, as `client:usage` says it
local Report = { __name = "daytona.Report" }
Report.__index = Report

local function present(value)
  return type(value) == "string" and value ~= "" and value or nil
end

-- The end of a text, in lines.
local function tail(text, count)
  local lines = {}
  for line in (text or ""):gmatch "[^\r\n]+" do
    lines[#lines + 1] = printable.text(line)
  end
  return table.concat(lines, "\n", math.max(1, #lines - count + 1))
end

-- The account's quota where the sandbox is.
local function usage_of(self)
  local usage = self.client:usage()
  for _, region in ipairs(usage and type(usage.region_usage) == "table" and usage.region_usage or {}) do
    if region.region_id == self.target or not self.target then return region end
  end
end

local RESOURCES = { "cpu", "memory", "disk", "gpu" }

local function quota_line(usage)
  local parts = {}
  for _, name in ipairs(RESOURCES) do
    local used, all = tonumber(usage["current_" .. name .. "_usage"]), tonumber(usage["total_" .. name .. "_quota"])
    if used and all then parts[#parts + 1] = ("%s %g of %g"):format(name, used, all) end
  end
  return table.concat(parts, ", ")
end

local WAITING = { creating = true, pending_build = true, starting = true, unknown = true, pulling_snapshot = true,
  restoring = true }

-- What follows from it.
local function hints_of(report)
  local self, hints = report.sandbox, {}
  local function hint(text, ...) hints[#hints + 1] = text:format(...) end
  if self.queue_timed_out_at then hint "it waited too long for a machine (queue_timeout)" end
  if self.spot_evicted_at then hint "its spot machine was taken back" end
  if self.state == "error" and self.recoverable then hint "it can be recovered: sb:recover()" end
  for _, name in ipairs(RESOURCES) do
    local usage = report.usage or {}
    local used, all = tonumber(usage["current_" .. name .. "_usage"]), tonumber(usage["total_" .. name .. "_quota"])
    if used and all and all > 0 and used >= all then hint("the account's quota of %s is used up", name) end
  end
  if WAITING[self.state] then hint("it is on its way: sb:wait()") end
  if self.desired_state == "started" and self.state == "stopped" then
    hint "it is to be started, and has not begun to"
  end
  return hints
end

---Asks everywhere why the sandbox is as it is. nil and an error only when the sandbox
---itself cannot be asked about; whatever else fails is left out.
---@param self daytona.Sandbox
---@return daytona.Report?
---@return daytona.Error?
function M.explain(self)
  local fine, err = self:refresh()
  if not fine then
    err.operation = "explain"
    return nil, err
  end
  local report = setmetatable({
    sandbox = self, state = self.state or "unknown", desired_state = self.desired_state,
    reason = present(self.error_reason), events = event_stream.recent(self.client, self.id), usage = usage_of(self),
  }, Report)
  if self.raw.buildInfo then
    local log = self:build_logs { timeout = 10 }
    report.build_log = present(tail(log, LOG_LINES))
  end
  report.hints = hints_of(report)
  return report
end

local function size_of(self)
  local parts = {}
  for _, name in ipairs(RESOURCES) do
    local value = tonumber(self[name])
    if value and value > 0 then parts[#parts + 1] = ("%s %g"):format(name, value) end
  end
  return table.concat(parts, ", ")
end

local INTERVALS = {
  { "auto_stop_interval", "stops" }, { "auto_pause_interval", "pauses" }, { "auto_archive_interval", "is archived" },
  { "auto_delete_interval", "is deleted" },
}

local function limits_of(self)
  local parts = { size_of(self) }
  for _, interval in ipairs(INTERVALS) do
    local minutes = tonumber(self[interval[1]])
    if minutes and minutes > 0 then parts[#parts + 1] = ("%s after %g min"):format(interval[2], minutes) end
  end
  if self.network_block_all then parts[#parts + 1] = "no network" end
  return table.concat(parts, "; ")
end

local function indented(text)
  return "  " .. text:gsub("\n", "\n  ")
end

---Lines for people.
---@private
function Report:__tostring()
  local self_, lines = self.sandbox, {}
  local function line(name, text)
    if text and text ~= "" then lines[#lines + 1] = ("%-8s %s"):format(name .. ":", text) end
  end
  line("sandbox", ("%s (%s)"):format(tostring(self_.name or self_.id), self_.id))
  local wanted = self.desired_state and self.desired_state ~= self.state and ", to become " .. self.desired_state or ""
  line("state", self.state .. wanted)
  line("reason", self.reason and printable.line(self.reason))
  for _, hint in ipairs(self.hints) do line("note", hint) end
  line("limits", limits_of(self_))
  line("quota", self.usage and quota_line(self.usage))
  if self.events[1] then
    lines[#lines + 1] = "lately:"
    for _, event in ipairs(self.events) do
      lines[#lines + 1] = ("  %s %s %s"):format(os.date("!%H:%M:%S", event.at), event.name,
        event.new and ("%s to %s"):format(tostring(event.old), event.new) or "")
    end
  end
  if self.build_log then lines[#lines + 1] = "build log, its end:\n" .. indented(self.build_log) end
  return table.concat(lines, "\n")
end

return M
