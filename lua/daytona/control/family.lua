-- What becomes of a sandbox beside its own life: another size, copies of it that run on
-- (forks), snapshots to make others from, other hands. Methods of sandboxes; who comes from whom is
-- asked of `sb.family`.

local calls = require "daytona.control.calls"
local custody = require "daytona.control.custody"
local deadlines = require "daytona.loop.deadline"
local errors = require "daytona.base.errors"
local ledger = require "daytona.control.ledger"
local life = require "daytona.control.life"
local loop = require "daytona.loop"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"
local random = require "daytona.base.random"
local record = require "daytona.control.record"
local waiting = require "daytona.control.wait"

local family = {}

---@class daytona.Family
---@field sandbox daytona.Sandbox
local Family = {}
Family.__index = Family
Family.__name = "daytona.Family"

---@private
function Family:__tostring()
  return "family of " .. tostring(self.sandbox)
end

---@param sandbox daytona.Sandbox
---@return daytona.Family
function family.new(sandbox)
  return setmetatable({ sandbox = sandbox }, Family)
end

-- A sandbox of an answer that is not about the subject.
local function sandbox_of(raw, subject)
  return record.apply(subject.client:attach(raw.id), raw)
end

local function sandboxes_of(list, subject)
  local out = {}
  for i, raw in ipairs(list) do out[i] = sandbox_of(raw, subject) end
  return out
end

local function list_flaw(list)
  for i = 1, #list do
    local flaw = type(list[i]) ~= "table" and "no list of sandboxes" or record.absent(list[i])
    if flaw then return flaw end
  end
end

local function another(method, path, more)
  local row = { method, path, "object", raw = true, flaw = record.absent, refine = sandbox_of }
  for name, value in pairs(more or {}) do row[name] = value end
  return row
end

local api = calls.of_service {
  touch           = { "POST", "/sandbox/{sandbox}/last-activity", safe = true },
  resize          = record.row("POST", "/sandbox/{sandbox}/resize"),
  create_snapshot = record.row("POST", "/sandbox/{sandbox}/snapshot"),
  fork            = another("POST", "/sandbox/{sandbox}/fork", { body = true }),
  parent          = another("GET", "/sandbox/{name}/parent", { what = "none" }),
  forks           = { "GET", "/sandbox/{sandbox}/forks", "list", raw = true, flaw = list_flaw, refine = sandboxes_of },
  ancestors       = { "GET", "/sandbox/{sandbox}/ancestors", "list", raw = true, flaw = list_flaw,
    refine = sandboxes_of },
}

---Counts as activity, so that it is not stopped for being idle.
---@param self daytona.Sandbox
---@return true?
---@return daytona.Error?
function family.touch(self)
  return api.touch(self)
end

--- Size ---------------------------------------------------------------------------------------

local RESIZE = { cpu = "positive", memory = "positive", disk = "positive", timeout = "seconds" }

local SIZES = { "cpu", "memory", "disk" }

-- Seconds after which a record that still shows the old size says that nothing came of it:
-- the service puts the old state back without a word when a resize fails.
local SETTLE = 10

local function has_size(self, wanted)
  for _, name in ipairs(SIZES) do
    if wanted[name] and self[name] ~= wanted[name] then return false end
  end
  return true
end

-- Whether a resize is over.
local function resized(self, wanted)
  local quiet -- since when it is in no state of change
  return function()
    local state = self.state
    if state == "resizing" then
      quiet = nil
    elseif has_size(self, wanted) then
      return true
    elseif state == "error" or state == "destroyed" or state == "destroying" then
      return nil, errors.new {
        kind = "state", operation = "resize", sandbox = self, state = state,
        message = "the sandbox is in state " .. state .. (self.error_reason and ": " .. self.error_reason or ""),
      }
    else
      quiet = quiet or loop.now()
      if loop.now() - quiet > SETTLE then
        return nil, errors.new {
          kind = "state", code = "resize_failed", operation = "resize", sandbox = self, state = state,
          message = "the service took the old size back, without saying why",
        }
      end
    end
  end
end

---Gives it another size and waits until it has that. Started, it only grows; its disk
---changes only while it is stopped, and never shrinks: otherwise kind "invalid". kind
---"state", code "resize_failed", when the service gave up.
---@param self daytona.Sandbox
---@param size { cpu?: integer, memory?: integer, disk?: integer, timeout?: number }  cores, GiB, GiB; seconds (60, 0 for none)
---@return daytona.Sandbox?
---@return daytona.Error?
function family.resize(self, size)
  options.argument("resize: the size", "table", size)
  size = options.check("resize", RESIZE, size)
  local wanted = { cpu = size.cpu, memory = size.memory, disk = size.disk }
  if next(wanted) == nil then errors.misuse(1, "resize: one of cpu, memory, disk is needed") end
  local deadline = deadlines.after(size.timeout or 60)
  local fine, err = api.resize(self, wanted, { timeout = size.timeout })
  if not fine then return nil, err end
  local over = resized(self, wanted)
  fine, err = over()
  if not fine and not err then fine, err = waiting.watch(self, "resize", over, deadline) end
  if not fine then return nil, err end
  return self
end

--- Hands ---------------------------------------------------------------------------------------

local function relabel(self, labels)
  if not labels then return self end
  return require("daytona.control.settings").put_labels(self, labels)
end

---Gives it away, to programs that know its id or name: neither the end of a scope nor a
---`reap` after the end of this program deletes it any more. A lease stays with it.
---@return daytona.Sandbox?
---@return daytona.Error?
function Family:disown()
  local sandbox = self.sandbox
  local fine, err = sandbox:refresh()
  if fine then fine, err = relabel(sandbox, custody.disowned(sandbox.raw)) end
  if not fine then
    err.operation = "disown"
    return nil, err
  end
  life.abandon(sandbox)
  return sandbox
end

--- Forks --------------------------------------------------------------------------------------

local FORK = { name = "text", timeout = "seconds", wait = "boolean", keep = "boolean" }

-- The fork of that name, if it is one of this sandbox: after a lost answer.
local function find_fork(self, name)
  local parent = api.parent(self, { name = name }, { operation = "fork" })
  if not parent or parent.id ~= self.id then return nil end
  local raw = record.fetch(self, { sandbox = name }, { operation = "fork", flaw = record.absent })
  return raw and sandbox_of(raw, self)
end

local TRIES = 3

-- Forks once: under the same name a second one cannot come to be.
local function allocate(self, name, timeout)
  local child, err
  for try = 1, TRIES do
    child, err = api.fork(self, { name = name }, { timeout = timeout, what = name })
    if child then return child end
    if not calls.is_lost(err) and not (try > 1 and err.kind == "conflict") then return nil, err end
    child = find_fork(self, name)
    if child then return child end
    if not err.retryable or not loop.sleep(0.25 * try) then break end
  end
  return nil, err
end

-- A share of the budget that the sandbox was made with, if there is one: or nil, err.
local function afford(self)
  local budgets = package.loaded["daytona.control.budget"]
  local budget = budgets and (budgets.of(self) or rawget(self.client, "budget"))
  if not budget then return nil end
  return budgets.reserve(budget, "fork", tonumber(self.cpu))
end

-- Forks once, and lets those know who keep count.
local function counted(self, name, timeout)
  local share, err = afford(self)
  if err then return nil, err end
  ledger.begin(self.client, name)
  local child
  child, err = allocate(self, name, timeout)
  if child then
    ledger.made(self.client, name, child.id)
    if share then share:took(child) end
    return child
  end
  ledger[calls.is_lost(err) and "leave" or "over"](self.client, name)
  if share then share:release() end
  return nil, err
end

local function discard(fork)
  if fork.child and not fork.keep then return require("daytona.control.scope").dispose(fork.child) end
end

local function come_up(fork)
  local fine, err = waiting.wait_until(fork.child, "fork", { started = true }, fork.deadline, nil, false)
  if fine then return fork.child end
  local gone, why = loop.shield(discard, fork)
  err.sandbox = fork.child
  if gone == nil and why then err.message = err.message .. "; and it could not be deleted: " .. why.message end
  return nil, err
end

---Makes a copy of it that runs on from here, memory included, and waits until that is
---started. It has the settings of this one, and a name of its own, chosen here when
---absent. kind "unsupported" where its class cannot (containers), "invalid" when it is not
---started, "conflict" when the name is taken. A fork that does not come up is deleted,
---unless `keep`; the error carries it in `err.sandbox`.
---@param self daytona.Sandbox
---@param opts? { name?: string, timeout?: number, wait?: boolean, keep?: boolean }  seconds (60, 0 for none); wait: true
---@return daytona.Sandbox?
---@return daytona.Error?
function family.fork(self, opts)
  opts = options.check("fork", FORK, opts)
  local deadline = deadlines.after(opts.timeout or 60)
  local name = opts.name or "lua-" .. random.hex(8)
  local child, err = counted(self, name, opts.timeout)
  if not child then return nil, err end
  life.adopt(child)
  relabel(child, custody.claimed(child.raw)) -- where that fails, `reap` goes by who made its parent
  if opts.wait == false then return child end
  return loop.guard(come_up, discard, { child = child, deadline = deadline, keep = opts.keep })
end

---The forks that were made of it.
---@param opts? { include_destroyed?: boolean }
---@return daytona.Sandbox[]?
---@return daytona.Error?
function Family:forks(opts)
  opts = options.check("forks", { include_destroyed = "boolean" }, opts)
  return api.forks(self.sandbox, { include_destroyed = opts.include_destroyed })
end

---The sandbox that it is a fork of; kind "not_found" when it is none.
---@return daytona.Sandbox?
---@return daytona.Error?
function Family:parent()
  return api.parent(self.sandbox, { name = self.sandbox.id })
end

---The sandboxes that it comes from, the oldest first.
---@return daytona.Sandbox[]?
---@return daytona.Error?
function Family:ancestors()
  return api.ancestors(self.sandbox)
end

---As `sandbox:fork`.
---@param opts? { name?: string, timeout?: number, wait?: boolean, keep?: boolean }
---@return daytona.Sandbox?
---@return daytona.Error?
function Family:fork(opts)
  return family.fork(self.sandbox, opts)
end

methods.guard(Family, "daytona.Family", "sandbox.family")

--- Snapshots ----------------------------------------------------------------------------------

local SNAPSHOT = { include_memory = "boolean", timeout = "seconds" }

local function snapshot_error(self, name, message)
  return errors.new {
    kind = "state", code = "snapshot_failed", operation = "create_snapshot", what = name, sandbox = self,
    state = self.state, message = message,
  }
end

-- Whether the snapshot is there. The sandbox's own record says nothing when it failed.
local function snapshot_made(self, name, found)
  local quiet
  return function()
    if self.state == "snapshotting" then return nil end
    if self.state == "error" or self.state == "destroyed" then
      return nil, snapshot_error(self, name, "the sandbox is in state " .. self.state)
    end
    local snapshot = self.client.snapshots:get(name)
    if snapshot and snapshot.state == "active" then
      found.snapshot = snapshot
      return true
    end
    if snapshot and snapshot.state == "error" then
      return nil, snapshot_error(self, name, "the snapshot is in state error: " .. tostring(snapshot.error_reason))
    end
    quiet = quiet or loop.now()
    if not snapshot and loop.now() - quiet > SETTLE then
      return nil, snapshot_error(self, name, "no snapshot came of it, and the service does not say why")
    end
  end
end

---Makes a snapshot of it, from which others can be created, and waits until that is
---there. A container must be started or stopped; a virtual machine stopped, or started
---with `include_memory`. kind "conflict" when the name is taken: that is looked up here,
---because the service takes such a request and then forgets it.
---@param self daytona.Sandbox
---@param name string
---@param opts? { include_memory?: boolean, timeout?: number }  seconds (300, 0 for none)
---@return daytona.Snapshot?
---@return daytona.Error?
function family.create_snapshot(self, name, opts)
  options.argument("create_snapshot: the name", "text", name)
  opts = options.check("create_snapshot", SNAPSHOT, opts)
  local deadline = deadlines.after(opts.timeout or 300)
  if self.client.snapshots:get(name) then
    return nil, errors.new {
      kind = "conflict", operation = "create_snapshot", what = name, sandbox = self,
      message = "there is a snapshot of that name",
    }
  end
  local fine, err = api.create_snapshot(self, { name = name, include_memory = opts.include_memory },
    { timeout = opts.timeout, what = name })
  if not fine then return nil, err end
  local found = {}
  fine, err = waiting.watch(self, "create_snapshot", snapshot_made(self, name, found), deadline)
  if not fine then return nil, err end
  return found.snapshot
end

return family
