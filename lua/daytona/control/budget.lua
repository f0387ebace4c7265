-- Budgets: how many sandboxes a program may have at once, and how long they may run, all
-- together. What would pass one is not asked for.

local errors = require "daytona.base.errors"
local life = require "daytona.control.life"
local loop = require "daytona.loop"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"

local M = {}

---@class daytona.Budget
---@field limits daytona.BudgetLimits
---@field private count integer     sandboxes that are there
---@field private running table<daytona.Share, true>
---@field private spent { cpu_hours: number, minutes: number }  by those that ran before
local Budget = { __name = "daytona.Budget" }
Budget.__index = Budget

---@class daytona.BudgetLimits
---@field sandboxes? integer  at once, stopped ones included
---@field cpu_hours? number   processors times hours that they run
---@field minutes? number     that they run, added up

local function amount(value)
  return type(value) == "number" and value >= 0 and value < math.huge, "a number, 0 or more"
end

local LIMITS = { sandboxes = "count", cpu_hours = amount, minutes = amount }

---A budget, for `budget` of daytona.new or of create: nothing is asked of the service that
---would pass it (kind "budget", whose `code` is the limit). It counts what is made with
---it, forks included, from when it is asked for until it is deleted; time only until it is stopped
---or paused by this program: what the service stops by itself is counted on. It holds in
---this process; other programs have their own.
---@param limits daytona.BudgetLimits
---@return daytona.Budget
function M.new(limits)
  options.argument("budget: the limits", "table", limits)
  limits = options.copy(options.check("budget", LIMITS, limits))
  if next(limits) == nil then errors.misuse(1, "budget: one of sandboxes, cpu_hours, minutes is needed") end
  return setmetatable({ limits = limits, count = 0, running = {}, spent = { cpu_hours = 0, minutes = 0 } }, Budget)
end

--- What one sandbox has of it -------------------------------------------------------------------

---@class daytona.Share
---@field budget daytona.Budget
---@field cpu number
---@field began? number   when it began to run; nil while it does not
local Share = {}
Share.__index = Share

local shares = {} -- by the id of the sandbox

local function minutes_of(share, now)
  return (now - share.began) / 60
end

local function pause(share)
  if not share.began then return end
  local budget, minutes = share.budget, minutes_of(share, loop.now())
  budget.spent.minutes = budget.spent.minutes + minutes
  budget.spent.cpu_hours = budget.spent.cpu_hours + minutes / 60 * share.cpu
  budget.running[share], share.began = nil, nil
end

local function run(share)
  share.began = share.began or loop.now()
  share.budget.running[share] = true
end

---There is a sandbox.
---@param box daytona.Sandbox
function Share:took(box)
  self.cpu = tonumber(box.cpu) or self.cpu
  shares[box.id] = self
end

---There is none, or no more.
function Share:release()
  if self.over then return end
  pause(self)
  self.over, self.budget.count = true, self.budget.count - 1
end

local AT_REST = { stopped = true, paused = true, archived = true, archiving = true }

life.on_change(function(box, gone)
  local share = shares[box.id]
  if not share then return end
  if gone then
    shares[box.id] = nil
    share:release()
  elseif AT_REST[box.state] then
    pause(share)
  else
    run(share)
  end
end)

--- The whole ------------------------------------------------------------------------------------

---What has been used: `sandboxes` that are there, `cpu_hours` and `minutes` that they and
---those before them ran.
---@return { sandboxes: integer, cpu_hours: number, minutes: number }
function Budget:used()
  local now, hours, minutes = loop.now(), self.spent.cpu_hours, self.spent.minutes
  for share in pairs(self.running) do
    local more = minutes_of(share, now)
    minutes, hours = minutes + more, hours + more / 60 * share.cpu
  end
  return { sandboxes = self.count, cpu_hours = hours, minutes = minutes }
end

---What is left of each limit that it has; never less than 0.
---@return { sandboxes?: integer, cpu_hours?: number, minutes?: number }
function Budget:left()
  local used, left = self:used(), {}
  for name, limit in pairs(self.limits) do left[name] = math.max(limit - used[name], 0) end
  return left
end

---"budget (2 of 5 sandboxes, 0.1 of 3 cpu_hours)"
---@private
function Budget:__tostring()
  local used, words = self:used(), {}
  for _, name in ipairs { "sandboxes", "cpu_hours", "minutes" } do
    local limit = self.limits[name]
    if limit then words[#words + 1] = ("%.4g of %.4g %s"):format(used[name], limit, name) end
  end
  return "budget (" .. table.concat(words, ", ") .. ")"
end

-- The limit that one more would pass, or nil.
local function passed(self)
  local used = self:used()
  used.sandboxes = used.sandboxes + 1
  for name, limit in pairs(self.limits) do
    if used[name] > limit or name ~= "sandboxes" and used[name] == limit then return name, limit end
  end
end

---Takes a share for a sandbox that is to be made; nil, err where there is no room.
---@param self daytona.Budget
---@param operation string
---@param cpu? number
---@return daytona.Share?
---@return daytona.Error?
function M.reserve(self, operation, cpu)
  local limit, value = passed(self)
  if limit then
    return nil, errors.new {
      kind = "budget", code = limit, operation = operation,
      message = ("one more would pass the budget's %.4g %s: %s"):format(value, limit, tostring(self)),
    }
  end
  local share = setmetatable({ budget = self, cpu = cpu or 1 }, Share)
  self.count = self.count + 1
  run(share)
  return share
end

---The budget that a sandbox was made with; nil without one.
---@param box daytona.Sandbox
---@return daytona.Budget?
function M.of(box)
  return shares[box.id] and shares[box.id].budget
end

methods.guard(Budget, "daytona.Budget", "budget")

return M
