-- What programs that are no more have left at the service, and its end: methods of clients.
--
-- Found by the labels that every sandbox carries (lease.lua) and by the ledgers of this
-- machine (ledger.lua). In doubt a sandbox is somebody's: its owner is believed to be alive
-- unless the kernel of this machine says that it is not.

local custody = require "daytona.control.custody"
local errors = require "daytona.base.errors"
local fate = require "daytona.control.fate"
local ledger = require "daytona.control.ledger"
local lease = require "daytona.control.lease"
local list = require "daytona.control.list"
local mark = require("daytona.control.create_options").MARK
local old_ledgers = require "daytona.control.old_ledgers"
local options = require "daytona.base.options"
local owner = require "daytona.control.owner"
local record = require "daytona.control.record"
local rows = require "daytona.control.row"
local scope = require "daytona.control.scope"

local M = {}

---A sandbox that nobody owns any more.
---@class daytona.Leftover
---@field sandbox daytona.Sandbox
---@field why "owner_gone"|"lease_over"|"unknown"|"delete_failed"
---@field owner? daytona.Owner   who made it, where that is known
---@field idle? number           seconds since it was last used, on the service's clock
---@field err? daytona.Error     why `reap` could not delete it
local Leftover = { __name = "daytona.Leftover" }
Leftover.__index = Leftover

local REASONS = {
  owner_gone = "process %s on %s, which made it, is gone",
  lease_over = "nobody has used it for longer than its lease",
  unknown = "it came to be after its creation had been given up",
  delete_failed = "the service could not delete it",
}

---"lua-1f… (started): process 4711 on web1, which made it, is gone"
---@private
function Leftover:__tostring()
  local by = self.owner or {}
  local text = REASONS[self.why]:format(tostring(by.pid), tostring(by.host))
  return ("%s (%s): %s"):format(tostring(self.sandbox.name), tostring(self.sandbox.state), text)
end

--- Judging ------------------------------------------------------------------------------------

local ENDED = { destroying = true, destroyed = true }

-- It was to be deleted, and the service could not.
local function has_failed(raw)
  return raw.desiredState == "destroyed" and (raw.state == "error" or raw.state == "build_failed")
end

-- Why a sandbox with our labels is nobody's; nil: it is somebody's, or on its way out.
local function judge(client, raw, now)
  if has_failed(raw) then return "delete_failed" end
  if ENDED[raw.state] or raw.desiredState == "destroyed" then return nil end
  local by = custody.owner_of(raw)
  local became = by and fate.of(by)
  if became == "gone" then return "owner_gone" end
  if became == "self" and not ledger.knows(client, record.value("name", raw.name) or "") then return "unknown" end
  return custody.is_over(raw, now) and "lease_over" or nil
end

-- Whether a sandbox is the one that a ledger speaks of: its name was chosen there, or it
-- has the mark, and nobody else's label.
local function is_noted(raw, of, name, nonce)
  local by = custody.owner_of(raw)
  if by then return owner.text(by) == owner.text(of) end
  local labels = type(raw.labels) == "table" and raw.labels or {}
  return name:find "^lua%-%x+$" ~= nil and #name == 20 or nonce ~= "" and labels[mark] == nonce
end

--- Finding ------------------------------------------------------------------------------------

local function leftover(client, raw, why, now, by)
  return setmetatable({
    sandbox = rows.new(client, raw), why = why, owner = by or custody.owner_of(raw),
    idle = now and custody.idle(raw, now),
  }, Leftover)
end

local function find_labelled(client, labels, now, found)
  labels = options.copy(labels)
  labels[lease.MADE] = "1"
  local page, err
  repeat
    page, err = list.list(client, {
      labels = labels, include_errored_deleted = true, limit = 200, cursor = page and page.next_cursor,
    })
    if not page then return nil, err end
    for _, row in ipairs(page.items) do
      local raw = row.raw
      local why = not found[raw.id] and judge(client, raw, now)
      if why then
        found[raw.id] = true
        found[#found + 1] = leftover(client, raw, why, now)
      end
    end
  until not page.next_cursor
  return true
end

local function has_labels(raw, labels)
  for name, value in pairs(labels) do
    if type(raw.labels) ~= "table" or raw.labels[name] ~= value then return false end
  end
  return true
end

-- Looks for what a dead process had open. What is not there is settled in its ledger.
local function find_noted(client, of, labels, now, found, dry_run)
  for name, nonce in pairs(old_ledgers.names(of, client)) do
    local raw, err = record.fetch(client, { sandbox = name }, { operation = "leftovers", flaw = record.absent })
    if not raw and not errors.is(err, "not_found") then return nil, err end
    local ours = raw and not ENDED[raw.state] and is_noted(raw, of.owner, name, nonce)
    if ours and not found[raw.id] and has_labels(raw, labels) then
      found[raw.id] = true
      found[#found + 1] = leftover(client, raw, "owner_gone", now, of.owner)
    elseif not ours and not dry_run then
      old_ledgers.settle(of, client, name)
    end
  end
  return true
end

local function find(client, labels, dry_run)
  local now, err = custody.clock(client)
  if err then return nil, err end
  local found, orphans = {}, old_ledgers.orphans(client)
  local fine
  fine, err = find_labelled(client, labels, now, found)
  for _, of in ipairs(orphans) do
    if fine then fine, err = find_noted(client, of, labels, now, found, dry_run) end
  end
  if not fine then return nil, err end
  return found, orphans
end

local FIND = { labels = "map" }

---The sandboxes that nobody owns any more, in no order: of programs that crashed (on this
---machine, by process id and start time; `why` is "owner_gone"), whose lease is over
---("lease_over", whoever made them, wherever that runs), that came to be after this program
---had given them up ("unknown"), and that the service failed to delete ("delete_failed").
---Sandboxes of programs that run, on this machine or another, are none of them. Nothing is
---changed.
---@param self daytona.Client
---@param opts? { labels?: table<string, string> }  only those with all of these labels
---@return daytona.Leftover[]?
---@return daytona.Error?
function M.leftovers(self, opts)
  opts = options.check("leftovers", FIND, opts)
  self:connection_of("leftovers")
  local found, err = find(self, opts.labels or {}, true)
  if not found then return nil, err end
  return found
end

--- Deleting -----------------------------------------------------------------------------------

-- How many at a time.
local CONCURRENCY = 8

-- Looks once more, as a list may lag: true: it is still nobody's; false: it is somebody's,
-- or gone; nil, err.
local function confirmed(self, item, now)
  if item.why == "delete_failed" then return true end
  local raw, err = record.fetch(self, { sandbox = item.sandbox.id }, { operation = "reap", flaw = record.absent })
  if not raw then
    if errors.is(err, "not_found") then return false end
    return nil, err
  end
  if item.why == "lease_over" or item.why == "unknown" then return judge(self, raw, now) == item.why end
  return not ENDED[raw.state]
end

local function reap_one(self, item, now)
  local sure, err = confirmed(self, item, now)
  if sure then sure, err = scope.dispose(item.sandbox) end
  if sure == nil then item.err = err end
  return sure == true
end

-- Those that the service failed to delete, and does not know any more when asked: what
-- was said to be deleted is looked for in the list once more.
local function still_there(self, deleted)
  local ids = {}
  for _, item in ipairs(deleted) do ids[item.sandbox.id] = item.why == "delete_failed" and item or nil end
  if not next(ids) then return {} end
  local found, left = {}, {}
  local fine = find_labelled(self, {}, nil, found)
  for _, item in ipairs(fine and found or {}) do
    left[item.sandbox.id] = ids[item.sandbox.id] and item.why == "delete_failed" or nil
  end
  return left
end

local function failure_of(deleted, failed)
  local first = failed[1].err
  return errors.new {
    kind = first.kind, operation = "reap", cause = first, status = first.status, retryable = first.retryable,
    message = ("%d of %d sandboxes could not be deleted: %s"):format(#failed, #deleted + #failed, first.message),
  }
end

local function tell_apart(self, found)
  local deleted, failed = {}, {}
  local left = still_there(self, found)
  for _, item in ipairs(found) do
    if left[item.sandbox.id] then
      item.err = errors.new { kind = "server", message = "the service does not get " .. tostring(item) .. " deleted" }
    end
    if item.err then failed[#failed + 1] = item elseif item.is_deleted then deleted[#deleted + 1] = item end
  end
  return deleted, failed
end

local function settle(self, orphans, deleted)
  for _, of in ipairs(orphans) do
    for _, item in ipairs(deleted) do
      if item.sandbox.name then old_ledgers.settle(of, self, item.sandbox.name) end
    end
    old_ledgers.sweep(of)
  end
end

local REAP = { labels = "map", dry_run = "boolean" }

---Deletes what `leftovers` finds, after another look at each. Returns those that it deleted
---(with `dry_run`: would delete, and touches nothing). Where some could not be: nil, and an
---error with both lists in its `deleted` and `left`, each of the latter with its `err`.
---Several programs may do this at once.
---@param self daytona.Client
---@param opts? { labels?: table<string, string>, dry_run?: boolean }
---@return daytona.Leftover[]?
---@return daytona.Error?
function M.reap(self, opts)
  opts = options.check("reap", REAP, opts)
  self:connection_of("reap")
  local found, orphans = find(self, opts.labels or {}, opts.dry_run)
  if not found then return nil, orphans end
  if opts.dry_run then return found end
  local now = custody.clock(self)
  local fine, err = require("daytona.loop.group").map(found, function(item)
    item.is_deleted = reap_one(self, item, now)
    return true
  end, { concurrency = CONCURRENCY })
  if not fine then return nil, err end
  local deleted, failed = tell_apart(self, found)
  settle(self, orphans, deleted)
  if not failed[1] then return deleted end
  err = failure_of(deleted, failed)
  err.deleted, err.left = deleted, failed
  return nil, err
end

return M
