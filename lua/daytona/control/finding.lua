-- Sandboxes that are there, by their ids and names. Methods of clients.

local errors = require "daytona.base.errors"
local options = require "daytona.base.options"
local record = require "daytona.control.record"
local sandbox = require "daytona.control.sandbox"

local finding = {}

---The sandbox of that id or name. kind "not_found" when there is none.
---@param self daytona.Client
---@param id_or_name string
---@return daytona.Sandbox?
---@return daytona.Error?
function finding.get(self, id_or_name)
  options.argument("get: the id or name", "text", id_or_name)
  if self.goes_ahead then require("daytona.control.ahead").open(self) end
  local raw, err = record.fetch(self, { sandbox = id_or_name }, { operation = "get", flaw = record.absent })
  if not raw then return nil, err end
  return sandbox.new(self, raw)
end

---A sandbox object of an id, without a request: its fields are unknown until
---`refresh`, its methods work.
---@param self daytona.Client
---@param id string
---@return daytona.Sandbox
function finding.attach(self, id)
  options.argument("attach: the id", "text", id)
  return sandbox.new(self, { id = id })
end

local function sandbox_of(self, what, value)
  if sandbox.is(value) then return value end
  if type(value) ~= "string" or value == "" then
    errors.misuse(1, "%s takes a sandbox or its id, got %s", what, type(value))
  end
  return finding.attach(self, value)
end

---Starts a sandbox by id, as `sandbox:start`.
---@param self daytona.Client
---@param which string|daytona.Sandbox
---@param opts? table
---@return daytona.Sandbox?
---@return daytona.Error?
function finding.start(self, which, opts)
  return sandbox_of(self, "start", which):start(opts)
end

---Stops a sandbox by id, as `sandbox:stop`.
---@param self daytona.Client
---@param which string|daytona.Sandbox
---@param opts? table
---@return daytona.Sandbox?
---@return daytona.Error?
function finding.stop(self, which, opts)
  return sandbox_of(self, "stop", which):stop(opts)
end

---Deletes a sandbox, as `sandbox:delete`. Of an id or a name: kind "not_found" when there
---is none, unless `missing_ok`.
---@param self daytona.Client
---@param which string|daytona.Sandbox  an id or a name
---@param opts? { timeout?: number, wait?: boolean, force?: boolean, missing_ok?: boolean }
---@return true?
---@return daytona.Error?
function finding.delete(self, which, opts)
  local box = sandbox_of(self, "delete", which)
  if type(which) == "string" then
    opts = options.copy(options.argument("delete: options", "table", opts or {}))
    opts.missing_ok = opts.missing_ok or false
  end
  return box:delete(opts)
end

return finding
