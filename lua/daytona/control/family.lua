-- What becomes of a sandbox beside its own life: another size, snapshots to make others from,
-- other hands. Methods of sandboxes; who comes from whom is asked of `sb.family` (forks are made
-- in fork.lua).

local calls = require "daytona.control.calls"
local custody = require "daytona.control.custody"
local errors = require "daytona.base.errors"
local forking = require "daytona.control.fork"
local life = require "daytona.control.life"
local loop = require "daytona.loop"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"
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

local function sandboxes_of(list, subject)
  local out = {}
  for i, raw in ipairs(list) do
    out[i] = forking.sandbox_of(raw, subject)
    loop.breathe()
  end
  return out
end

local function list_flaw(list)
  for i = 1, #list do
    local flaw = type(list[i]) ~= "table" and "no list of sandboxes" or record.absent(list[i])
    if flaw then return flaw end
  end
end

local api = calls.of_service {
  touch           = { "POST", "/sandbox/{sandbox}/last-activity", safe = true },
  resize          = record.row("POST", "/sandbox/{sandbox}/resize"),
  create_snapshot = record.row("POST", "/sandbox/{sandbox}/snapshot"),
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
  local deadline = loop.after(size.timeout or 60)
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
  return forking.parent(self.sandbox)
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
  return forking.fork(self.sandbox, opts)
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
  local deadline = loop.after(opts.timeout or 300)
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
