-- The sandboxes the control plane knows: records, their index by id and name,
-- their files, and what the service publishes of them. No HTTP, no processes.
--
-- A record (a "box") keeps times as seconds of the service's clock. Whoever
-- changes one calls `store:changed(box)`, which writes <folder>/state.json.

local rand = require "openssl.rand"
local httpd = require "daytona.devserver.http"
local ids = require "daytona.devserver.ids"
local files = require "daytona.devserver.control.files"
local json = require "daytona.devserver.http.json"

local sandboxes = {
  ORGANIZATION = "8f4a1c52-0000-4000-8000-000000000001",
  RUNNER = "8f4a1c52-0000-4000-8000-000000000002",
  SNAPSHOT = "daytona-local",
  VERSION = "0.205.0-local",
  MAX_ARCHIVE = 43200,
  LEGACY_VERSION = "0.190.0",
}

local Store = {}
Store.__index = Store

-- What of a box is kept on disk; everything else is derived or of this process.
local PERSISTENT = {
  "id", "name", "user", "env", "labels", "public", "target", "snapshot", "cpu", "gpu", "memory",
  "disk", "state", "desired", "error_reason", "recoverable", "auto_stop", "auto_pause",
  "auto_archive", "auto_delete", "destroy_at", "created", "updated", "activity", "stopped_at",
  "network_block_all", "network_allow_list", "domain_allow_list", "outbound_proxy_url",
  "otel_endpoint", "build_info", "signing_key", "preview_token", "signed_previews", "ssh", "linked", "port",
  "class", "kvm", "gpu_type", "spot", "volumes", "secrets", "parent", "made_from", "warm_pool", "queue_timeout",
  "queue_timed_out", "daemon_version", "backup_state", "backed_up", "back_to", "warm",
}

---A random name of `n` bytes, in hexadecimal.
---@param n integer
---@return string
function sandboxes.token(n)
  return ids.hex(n)
end

local SMALL = "abcdefghijklmnopqrstuvwxyz0123456789"

---A random name of `n` of the letters that the service's tokens are made of.
---@param n integer
---@param letters? string
---@return string
function sandboxes.preview_token(n, letters)
  letters = letters or SMALL .. "_-"
  return (rand.bytes(n):gsub(".", function(c)
    local at = c:byte() % #letters + 1
    return letters:sub(at, at)
  end))
end

---The same for a host name.
---@param n integer
---@return string
function sandboxes.host_token(n)
  return sandboxes.preview_token(n, SMALL)
end

---@return string
function sandboxes.uuid()
  return ids.uuid()
end

---@param dir string
---@param clock table
function sandboxes.new(dir, clock)
  local self = setmetatable({
    dir = dir, clock = clock, by_id = {}, by_name = {}, by_token = {}, version = 0, count = 0, proxy_url = "",
  }, Store)
  assert(files.mkdir(dir .. "/sandboxes"))
  return self
end

---Reads what an earlier server left in the same folder.
---@return table[] boxes
function Store:load()
  local boxes = {}
  for _, id in ipairs(files.list(self.dir .. "/sandboxes")) do
    local path = self.dir .. "/sandboxes/" .. id
    local text = files.read(path .. "/state.json")
    local box = text and json.decode(text)
    if type(box) == "table" and box.id == id then
      self:insert(box)
      boxes[#boxes + 1] = box
    else
      io.stderr:write("daytona-devserver: nothing can be made of ", path, "/state.json; its files stay\n")
    end
  end
  return boxes
end

function Store:folder(box)
  return self.dir .. "/sandboxes/" .. box.id
end

---Makes the sandbox's folders.
---@return boolean? ok, string? message
function Store:prepare(box)
  for _, name in ipairs { "home", "tmp" } do
    local ok, message = files.mkdir(self:folder(box) .. "/" .. name)
    if not ok then return nil, message end
  end
  return true
end

function Store:insert(box)
  self.by_id[box.id] = box
  if box.state ~= "destroyed" then self.by_name[box.name] = box end
  for token in pairs(box.signed_previews or {}) do self.by_token[token] = box end
  self.count = self.count + 1
  self.version = self.version + 1
end

---Forgets a box and removes its files.
function Store:remove(box)
  if self.by_id[box.id] then self.count = self.count - 1 end
  self.by_id[box.id] = nil
  if self.by_name[box.name] == box then self.by_name[box.name] = nil end
  for token in pairs(box.signed_previews or {}) do self.by_token[token] = nil end
  self.version = self.version + 1
  if not box.synthetic then files.remove(self:folder(box)) end
end

---Gives the box another name; the old one is free at once.
function Store:rename(box, name)
  if self.by_name[box.name] == box then self.by_name[box.name] = nil end
  box.name = name
  self.by_name[name] = box
end

---Keeps a token of a signed preview: `facts` are its port and when it expires.
function Store:sign(box, token, facts)
  box.signed_previews = box.signed_previews or {}
  box.signed_previews[token], self.by_token[token] = facts, box
  self:save(box)
end

function Store:unsign(box, token)
  box.signed_previews[token], self.by_token[token] = nil, nil
  self:save(box)
end

---The sandbox of a signed preview's token.
---@return table?
function Store:signer(token)
  return self.by_token[token]
end

---By id first, then by name; nil for one that is destroyed, or failed and is
---being deleted.
function Store:find(id_or_name)
  local box = self.by_id[id_or_name] or self.by_name[id_or_name]
  if not box or box.state == "destroyed" and not (box.queue_timed_out and box.id == id_or_name) then return nil end
  if box.desired == "destroyed" and (box.state == "error" or box.state == "build_failed") then
    return nil
  end
  return box
end

---Notes a change: new `updated` time, on disk, and lists are sorted anew. Where the disk
---takes nothing, the file stays as it was until the next change.
---@return boolean? ok, string? message
function Store:changed(box)
  box.updated = self.clock:now()
  return self:save(box)
end

---Changes fields of a box if the disk takes that, else none.
---@param box table
---@param fields table<string, any>  Store.NONE stands for nil
---@return boolean? ok, string? message
function Store:update(box, fields)
  local old = { updated = box.updated or self.NONE }
  for name, value in pairs(fields) do
    old[name] = box[name] == nil and self.NONE or box[name]
    box[name] = value ~= self.NONE and value or nil
    if value == false then box[name] = false end
  end
  local ok, message = self:changed(box)
  if ok then return true end
  for name, value in pairs(old) do
    box[name] = value
    if value == self.NONE then box[name] = nil end
  end
  return nil, message
end

Store.NONE = {}

function Store:save(box)
  self.version = self.version + 1
  if box.synthetic or not self.by_id[box.id] then return true end
  local kept = {}
  for _, name in ipairs(PERSISTENT) do kept[name] = box[name] end
  local ok, message = files.write(self:folder(box) .. "/state.json", json.encode(kept))
  if not ok and not self.complained then
    io.stderr:write("daytona-devserver: cannot keep state on disk: ", tostring(message), "\n")
  end
  self.complained = not ok
  return ok, message
end

---Notes that somebody uses the sandbox. (On disk with the next change.)
function Store:touch(box)
  box.activity = self.clock:now()
  self.version = self.version + 1
end

---Where the sandbox's toolbox is.
---@return string
function Store:address(box)
  return box.daemon and ("http://127.0.0.1:%d/toolbox"):format(box.daemon.port) or self.proxy_url
end

local function stamp(t)
  return t and httpd.timestamp(t)
end

local function or_null(value)
  if value == nil then return json.null end
  return value
end

-- What only newer releases publish.
local function add_newer(item, box)
  item.autoPauseInterval = box.auto_pause
  item.autoDestroyAt = stamp(box.destroy_at)
  item.spot = box.spot
  item.gpuType = box.gpu_type
  item.warmPoolId = box.warm_pool
  item.queueTimeout = or_null(box.queue_timeout)
  item.queueTimedOutAt = stamp(box.queue_timed_out)
end

---A row of the list, as the service publishes it.
function Store:item(box)
  local item = {
    id = box.id, organizationId = sandboxes.ORGANIZATION, name = box.name, user = box.user,
    target = box.target, labels = box.labels, public = box.public,
    networkBlockAll = box.network_block_all, networkAllowList = or_null(box.network_allow_list),
    domainAllowList = or_null(box.domain_allow_list),
    cpu = box.cpu, gpu = box.gpu, memory = box.memory, disk = box.disk,
    state = box.state, desiredState = box.desired,
    errorReason = or_null(box.error_reason), recoverable = box.recoverable or false,
    snapshot = or_null(box.snapshot), sandboxClass = box.class or "container",
    daemonVersion = or_null(box.daemon_version),
    runnerId = box.state == "archived" and json.null or sandboxes.RUNNER,
    backupState = box.backup_state or "None", backupCreatedAt = stamp(box.backed_up),
    autoStopInterval = box.auto_stop, autoArchiveInterval = box.auto_archive, autoDeleteInterval = box.auto_delete,
    createdAt = stamp(box.created), updatedAt = stamp(box.updated),
    lastActivityAt = stamp(box.activity),
    toolboxProxyUrl = self.legacy and "" or self:address(box),
  }
  if not self.legacy then add_newer(item, box) end
  return item
end

local function build_info(box)
  local info = box.build_info
  if not info then return nil end
  local copy = {}
  for name, value in pairs(info) do copy[name] = value end
  local hashes = info.contextHashes           -- kept as it was given, whatever it is
  copy.contextHashes = type(hashes) == "table" and json.array(hashes) or hashes or json.null
  return copy
end

---The whole sandbox, as the service publishes it.
function Store:dto(box)
  local dto = self:item(box)
  dto.env = box.env
  dto.volumes = json.array(box.volumes or {})
  dto.buildInfo = build_info(box)
  dto.outboundProxyUrl = box.outbound_proxy_url
  dto.otelEndpointOverride = box.otel_endpoint
  dto.linkedSandboxId = box.linked
  if not self.legacy then dto.kvm = box.kvm or false end
  return dto
end

---The sandbox's environment: its own, and a placeholder where a secret is attached.
---@param box table
---@return table<string, string>
function sandboxes.environment(box)
  local env = {}
  for name, value in pairs(box.env) do
    env[name] = type(value) == "table" and json.encode(value) or tostring(value)
  end
  for name, secret in pairs(box.secrets or {}) do env[name] = secret.placeholder end
  return env
end

return sandboxes
