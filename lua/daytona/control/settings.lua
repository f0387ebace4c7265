-- The settings of a sandbox: labels, intervals after which the service does something by
-- itself, who may reach what. `sb.settings`; each also stands at the sandbox itself.

local calls = require "daytona.control.calls"
local errors = require "daytona.base.errors"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"
local process = require "daytona.toolbox.process"
local record = require "daytona.control.record"

local row = record.row

---@class daytona.Settings
---@field sandbox daytona.Sandbox
local Settings = {}
Settings.__index = Settings
Settings.__name = "daytona.Settings"

local M = {}

---@private
function Settings:__tostring()
  return "settings of " .. tostring(self.sandbox)
end

---@param sandbox daytona.Sandbox
---@return daytona.Settings
function M.new(sandbox)
  return setmetatable({ sandbox = sandbox }, Settings)
end

local function interval(path)
  return row("POST", "/sandbox/{sandbox}/" .. path .. "/{minutes}", { safe = true })
end

M.api = calls.of_service {
  set_labels                = { "PUT", "/sandbox/{sandbox}/labels", "object", raw = true, flaw = record.flaw },
  set_auto_stop_interval    = interval "autostop",
  set_auto_pause_interval   = interval "autopause",
  set_auto_archive_interval = interval "autoarchive",
  set_auto_delete_interval  = interval "autodelete",
  set_ttl                   = interval "ttl",
  set_public                = row("POST", "/sandbox/{sandbox}/public/{public}", { safe = true }),
  set_network               = row("POST", "/sandbox/{sandbox}/network-settings", { safe = true }),
  set_secrets               = row("PUT", "/sandbox/{sandbox}/secrets", { lists = { "secrets" } }),
}

local api = M.api

--- Labels --------------------------------------------------------------------------------

-- Which language code is run in when none is said; lost with the label.
local LANGUAGE_LABEL = process.LANGUAGE_LABEL

-- The labels as the service holds them, odd ones included.
local function held(self)
  local labels = (self.raw or {}).labels
  return type(labels) == "table" and labels[1] == nil and labels or self.labels or {}
end

---Puts all labels, those that users do not see as well.
---@param self daytona.Sandbox
---@param labels table<string, string>
---@return daytona.Sandbox?
---@return daytona.Error?
function M.put_labels(self, labels)
  local raw, err = api.set_labels(self, { labels = labels })
  if not raw then return nil, err end
  if raw.id then
    record.apply(self, raw)
  else
    self.labels = record.value("labels", raw.labels or labels)
    if self.raw then self.raw.labels = raw.labels or labels end
  end
  return self
end

local put = M.put_labels

---Replaces all labels. The one that says which language `run` takes is kept
---unless `labels` has it.
---@param labels table<string, string>
---@return daytona.Sandbox?
---@return daytona.Error?
function Settings:set_labels(labels)
  local sandbox = self.sandbox
  local all = options.copy(options.argument("set_labels: labels", "map", labels))
  if not sandbox.labels then
    local fine, why = sandbox:refresh()
    if not fine then return nil, why end
  end
  if all[LANGUAGE_LABEL] == nil then all[LANGUAGE_LABEL] = (sandbox.labels or {})[LANGUAGE_LABEL] end
  for name, value in pairs(record.our_labels(sandbox.raw)) do all[name] = value end
  return put(sandbox, all)
end

---Adds labels to those the sandbox has now, replacing those of the same name.
---@param labels table<string, string>
---@return daytona.Sandbox?
---@return daytona.Error?
function Settings:merge_labels(labels)
  options.argument("merge_labels: labels", "map", labels)
  local fine, err = self.sandbox:refresh()
  if not fine then return nil, err end
  local all = options.copy(held(self.sandbox))
  for name, value in pairs(labels) do all[name] = value end
  return put(self.sandbox, all)
end

--- Intervals -----------------------------------------------------------------------------

local function set_interval(operation, kind)
  return function(self, minutes)
    options.argument(operation .. ": minutes", kind, minutes)
    return api[operation](self.sandbox, { minutes = minutes })
  end
end

---Minutes without activity after which it is stopped; 0 never.
---@type fun(self: daytona.Settings, minutes: integer): daytona.Sandbox?, daytona.Error?
Settings.set_auto_stop_interval = set_interval("set_auto_stop_interval", "count")

---Minutes without activity after which it is paused, where its class can; 0 never. kind
---"unsupported" at an older service.
---@type fun(self: daytona.Settings, minutes: integer): daytona.Sandbox?, daytona.Error?
Settings.set_auto_pause_interval = set_interval("set_auto_pause_interval", "count")

---Minutes stopped after which it is archived; 0: as late as the service allows.
---The field afterwards is what the service made of it.
---@type fun(self: daytona.Settings, minutes: integer): daytona.Sandbox?, daytona.Error?
Settings.set_auto_archive_interval = set_interval("set_auto_archive_interval", "count")

---Minutes stopped after which it is deleted; 0 at once, negative never.
---@type fun(self: daytona.Settings, minutes: integer): daytona.Sandbox?, daytona.Error?
Settings.set_auto_delete_interval = set_interval("set_auto_delete_interval", "integer")

---Minutes from now after which it is deleted in any case; 0 takes that back. The moment
---is in `auto_destroy_at` then. kind "unsupported" at an older service.
---@type fun(self: daytona.Settings, minutes: integer): daytona.Sandbox?, daytona.Error?
Settings.set_ttl = set_interval("set_ttl", "count")

--- Who may reach what -----------------------------------------------------------------------

---Whether previews need no token.
---@param public boolean
---@return daytona.Sandbox?
---@return daytona.Error?
function Settings:set_public(public)
  options.argument("set_public: public", "boolean", public)
  return api.set_public(self.sandbox, { public = tostring(public) })
end

local function csv(value)
  return type(value) == "table" and table.concat(value, ",") or value
end

-- A list that may be empty, or a text: "" takes the limit away.
local function addresses(value)
  if type(value) == "string" then return true end
  local fits = type(value) == "table"
  for i = 1, fits and #value or 0 do fits = fits and type(value[i]) == "string" end
  return fits, "a string or a list of strings"
end

local NETWORK = { block_all = "boolean", allow = addresses, domains = addresses }

---What programs inside may reach from now on: nothing (`block_all`), the networks of
---`allow` (IPv4, "10.0.0.0/8", up to 10) or the hosts of `domains` ("*.example.org", up to
---10) alone. What is not said stays; an empty list takes its limit away. A list of
---networks ends `block_all`, and the other way round.
---@param limits { block_all?: boolean, allow?: string|string[], domains?: string|string[] }
---@return daytona.Sandbox?
---@return daytona.Error?
function Settings:set_network(limits)
  options.argument("set_network: the limits", "table", limits)
  limits = options.check("set_network", NETWORK, limits)
  if next(limits) == nil then errors.misuse(1, "set_network: one of block_all, allow, domains is needed") end
  if limits.block_all and type(csv(limits.allow)) == "string" and csv(limits.allow) ~= "" then
    errors.misuse(1, "set_network: either block_all or allow")
  end
  return api.set_network(self.sandbox, {
    network_block_all = limits.block_all, network_allow_list = csv(limits.allow),
    domain_allow_list = csv(limits.domains),
  })
end

---{ NAME = secret } -> { { NAME = secret }, ... }, in order of name: the service's form.
---@param secrets table<string, string>
---@return table[]
function M.secret_list(secrets)
  local keys, list = {}, {}
  for name in pairs(secrets) do keys[#keys + 1] = name end
  table.sort(keys)
  for i, name in ipairs(keys) do list[i] = { [name] = secrets[name] } end
  return list
end

---Which of the account's secrets programs inside find in their environment, in place of
---those before: environment variable -> name of a secret; {} for none. kind "unsupported"
---at an older service.
---@param secrets table<string, string>
---@return daytona.Sandbox?
---@return daytona.Error?
function Settings:set_secrets(secrets)
  options.argument("set_secrets: the secrets", "map", secrets)
  return api.set_secrets(self.sandbox, { secrets = M.secret_list(secrets) })
end

---Changes the environment of what is started in the sandbox from now on; see
---`machine.set_env`.
---@param changes { set?: table<string, string>, unset?: string[] }
---@return true?
---@return daytona.Error?
function Settings:set_env(changes)
  return require("daytona.toolbox.machine").set_env(self.sandbox, changes)
end

methods.guard(Settings, "daytona.Settings", "sandbox.settings")

return M
