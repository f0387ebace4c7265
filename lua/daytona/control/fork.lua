-- Forks: copies of a sandbox that run on. Each is made exactly once, or not at all, as others
-- are (create.lua): finding and deleting what came of a failure is in undo.lua.

local calls = require "daytona.control.calls"
local core = require "daytona.base.native"
local custody = require "daytona.control.custody"
local errors = require "daytona.base.errors"
local ledger = require "daytona.control.ledger"
local life = require "daytona.control.life"
local loop = require "daytona.loop"
local options = require "daytona.base.options"
local random = require "daytona.base.random"
local record = require "daytona.control.record"

local M = {}

---A sandbox of an answer that is not about the subject.
---@param raw table
---@param subject { client: daytona.Client }
---@return daytona.Sandbox
function M.sandbox_of(raw, subject)
  return record.apply(subject.client:attach(raw.id), raw)
end

local sandbox_of = M.sandbox_of

local api = calls.of_service {
  fork   = { "POST", "/sandbox/{sandbox}/fork", "object", raw = true, flaw = record.absent, body = true },
  parent = { "GET", "/sandbox/{name}/parent", "object", raw = true, flaw = record.absent, what = "none",
    refine = sandbox_of },
}

-- The state of one fork.
---@class daytona.Forking: daytona.Creation
---@field parent daytona.Sandbox
---@field named boolean   by the caller
---@field since number
---@field wait boolean

--- Which one it is ------------------------------------------------------------------------------

-- The two clocks that are compared show whole seconds.
local BLUR = 2

-- A name of the caller's may have been another fork's all the time. In doubt it is.
local function is_new(fork, raw)
  if not fork.named then return true end
  local now = custody.clock(fork.client)
  local age = now and custody.age(raw, now)
  return age ~= nil and age <= loop.now() - fork.since + BLUR
end

-- What this fork brought, as the service has it; or nil, err.
local function find(fork, timeout)
  local name, opts = fork.body.name, { timeout = timeout, operation = "fork", flaw = record.absent }
  local parent, err = api.parent(fork.parent, { name = name }, { timeout = timeout, operation = "fork" })
  if not parent then return nil, err end
  local raw
  if parent.id == fork.parent.id then
    raw, err = record.fetch(fork.client, { sandbox = name }, opts)
    if not raw then return nil, err end
  end
  if raw and is_new(fork, raw) then return raw end
  return nil, errors.new { kind = "not_found", message = "that name belongs to another sandbox" }
end

--- Once -----------------------------------------------------------------------------------------

local function take(fork, raw)
  local box = sandbox_of(raw, fork)
  fork.sandbox = life.adopt(box)
  ledger.made(fork.client, fork.body.name, box.id)
  if fork.share then fork.share:took(box) end
  return box
end

-- As in create.lua, which cannot be needed here: it needs what a sandbox is, and that needs this.
local function undoing()
  return require "daytona.control.undo"
end

local function undo_abandoned(err, request) undoing().abandoned(err, request.creation) end

local function note_leave(request, may) request.creation.unsure = may end

local function post(fork)
  return api.fork(fork.parent, fork.body, {
    timeout = fork.timeout, what = fork.body.name, creation = fork, on_abandon = undo_abandoned,
    on_leave = note_leave,
  })
end

local TRIES = 3

-- Forks once: under the same name a second one cannot come to be.
local function allocate(fork)
  for try = 1, TRIES do
    local raw, err = post(fork)
    if raw then return fork:take(raw) end
    fork.unsure = calls.is_lost(err)
    if not fork.unsure and not (try > 1 and err.kind == "conflict") then return nil, err end
    local found, why = fork:find()
    if found then return fork:take(found) end
    fork.unsure = not errors.is(why, "not_found")
    if try == TRIES or not err.retryable or not loop.sleep(0.25 * try) then return nil, err end
  end
end

--- As it was asked for ---------------------------------------------------------------------------

-- A share of the budget that the sandbox was made with, if there is one. true, or nil, err.
local function afford(fork)
  local budgets = package.loaded["daytona.control.budget"]
  local budget = budgets and (budgets.of(fork.parent) or rawget(fork.client, "budget"))
  if not budget then return true end
  local err
  fork.share, err = budgets.reserve(budget, "fork", tonumber(fork.parent.cpu))
  return fork.share and true, err
end

local function dispose(fork, err)
  undoing().dispose(fork, err)
end

local function given_up(fork, err)
  loop.shield(dispose, fork, err)
  err.sandbox = fork.sandbox or err.sandbox
  return nil, err
end

-- It has the labels of its parent. Where that cannot be changed, `reap` goes by who made that.
local function claim(box)
  local labels = custody.claimed(box.raw)
  if labels then require("daytona.control.settings").put_labels(box, labels) end
end

local function make(fork)
  local fine, err = afford(fork)
  if not fine then return nil, err end
  fork.noted = ledger.begin(fork.client, fork.body.name)
  local box
  box, err = allocate(fork)
  if not box then return given_up(fork, err) end
  claim(box)
  if fork.wait then
    fine, err = require("daytona.control.wait").wait_until(box, "fork", { started = true }, fork.deadline, nil, false)
    if not fine then return given_up(fork, err) end
  end
  core.hand_over()
  return box
end

---The sandbox that one is a fork of.
---@param self daytona.Sandbox
---@return daytona.Sandbox?
---@return daytona.Error?
function M.parent(self)
  return api.parent(self, { name = self.id })
end

local FORK = { name = "text", timeout = "seconds", wait = "boolean", keep = "boolean" }

---Makes a copy of it that runs on from here, memory included, and waits until that is
---started. It has the settings of this one, and a name of its own, chosen here when
---absent. kind "unsupported" where its class cannot (containers), "invalid" when it is not
---started, "conflict" when the name is taken. A fork that does not come up, or whose caller is
---cancelled or interrupted meanwhile, is deleted, unless `keep`; the error carries it in
---`err.sandbox`.
---@param self daytona.Sandbox
---@param opts? { name?: string, timeout?: number, wait?: boolean, keep?: boolean }  seconds (60, 0 for none); wait: true
---@return daytona.Sandbox?
---@return daytona.Error?
function M.fork(self, opts)
  opts = options.check("fork", FORK, opts)
  return loop.guard(make, dispose, {
    client = self.client, parent = self, take = take, find = find, timeout = opts.timeout,
    body = { name = opts.name or "lua-" .. random.hex(8) }, named = opts.name ~= nil, since = loop.now(),
    deadline = loop.after(opts.timeout or 60), keep = opts.keep or false, wait = opts.wait ~= false,
  })
end

return M
