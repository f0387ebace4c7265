-- The sandboxes the control plane knows: records, their index by id and name,
-- their files, and what the service publishes of them. No HTTP, no processes.
--
-- A record (a "box") keeps times as seconds of the service's clock. Whoever
-- changes one calls `store:changed(box)`, which writes <folder>/state.json.

local rand = require "openssl.rand"
local httpd = require "daytona.devserver.http"
local files = require "daytona.devserver.control.files"
local json = require "daytona.devserver.http.json"

local sandboxes = {
  ORGANIZATION = "8f4a1c52-0000-4000-8000-000000000001",
  RUNNER = "8f4a1c52-0000-4000-8000-000000000002",
  SNAPSHOT = "daytona-local",
  VERSION = "0.205.0-local",
  MAX_ARCHIVE = 43200,
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
}

---A random name of `n` bytes, in hexadecimal.
---@param n integer
---@return string
function sandboxes.token(n)
  return (rand.bytes(n):gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

---@return string
function sandboxes.uuid()
  local h = sandboxes.token(16)
  return ("%s-%s-4%s-a%s-%s"):format(h:sub(1, 8), h:sub(9, 12), h:sub(14, 16), h:sub(18, 20),
    h:sub(21, 32))
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
    local text = files.read(self.dir .. "/sandboxes/" .. id .. "/state.json")
    local box = text and json.decode(text)
    if type(box) == "table" and box.id == id then
      self:insert(box)
      boxes[#boxes + 1] = box
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
  if not box or box.state == "destroyed" then return nil end
  if box.desired == "destroyed" and (box.state == "error" or box.state == "build_failed") then
    return nil
  end
  return box
end

---Notes a change: new `updated` time, on disk, and lists are sorted anew.
function Store:changed(box)
  box.updated = self.clock:now()
  self:save(box)
end

function Store:save(box)
  self.version = self.version + 1
  if box.synthetic or not self.by_id[box.id] then return end
  local kept = {}
  for _, name in ipairs(PERSISTENT) do kept[name] = box[name] end
  files.write(self:folder(box) .. "/state.json", json.encode(kept))
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

---A row of the list, as the service publishes it.
function Store:item(box)
  return {
    id = box.id, organizationId = sandboxes.ORGANIZATION, name = box.name, user = box.user,
    target = box.target, labels = box.labels, public = box.public,
    networkBlockAll = box.network_block_all, networkAllowList = box.network_allow_list,
    domainAllowList = box.domain_allow_list,
    cpu = box.cpu, gpu = box.gpu, memory = box.memory, disk = box.disk,
    state = box.state, desiredState = box.desired,
    errorReason = box.error_reason, recoverable = box.recoverable,
    snapshot = box.snapshot, sandboxClass = "container", kvm = false, daemonVersion = sandboxes.VERSION,
    runnerId = sandboxes.RUNNER, backupState = "None",
    autoStopInterval = box.auto_stop, autoPauseInterval = box.auto_pause,
    autoArchiveInterval = box.auto_archive, autoDeleteInterval = box.auto_delete,
    autoDestroyAt = stamp(box.destroy_at),
    createdAt = stamp(box.created), updatedAt = stamp(box.updated),
    lastActivityAt = stamp(box.activity),
    toolboxProxyUrl = self.legacy and "" or self:address(box),
  }
end

---The whole sandbox, as the service publishes it.
function Store:dto(box)
  local dto = self:item(box)
  dto.env = box.env
  dto.volumes = json.array {}
  dto.buildInfo = box.build_info
  dto.outboundProxyUrl = box.outbound_proxy_url
  dto.otelEndpointOverride = box.otel_endpoint
  dto.linkedSandboxId = box.linked
  return dto
end

return sandboxes
