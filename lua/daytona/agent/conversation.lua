-- The sandboxes of one conversation: which they are is in a store, so that another program
-- that is given the session goes on with them.
--
-- A record is written before its sandbox is made, by the name that was chosen for it; so
-- one that was made by a program that died then is found again, and none is made twice.

local errors = require "daytona.base.errors"
local json = require "daytona.http.json"
local ordered = require "daytona.http.ordered_json"
local native = require "daytona.base.native"
local options = require "daytona.base.options"
local store = require "daytona.agent.store"

local M = {}

---@class daytona.Conversation
---@field id string      of the session
---@field store table
local Conversation = { __name = "daytona.Conversation" }
Conversation.__index = Conversation

-- Seconds after which a record whose sandbox never came is dropped; minutes without
-- activity until a sandbox stops; what a sandbox is known by at the service.
local ABANDONED, IDLE, LABEL = 300, 5, "daytona-session"

---@param toolset daytona.Toolset
---@return daytona.Conversation
function M.new(toolset)
  local o = toolset.options
  local id = o.session or native.hex(native.random(8))
  options.identifier("tools: the session", id, "^[.-]")
  return setmetatable({ id = id, store = store.open(o.store) }, Conversation)
end

local function failure(why)
  return nil, errors.new { kind = "io", operation = "session", message = tostring(why) }
end

local function put(self, record)
  local fine, why = self.store:put(self.id, record.name, assert(ordered.encode(record)))
  if fine then return true end
  return failure(why)
end

---Makes a sandbox of this conversation.
---@param client daytona.Client
---@param title? string
---@param image? string
---@return daytona.Sandbox?
---@return daytona.Error?
function Conversation:create(client, title, image)
  local name = "session-" .. native.hex(native.random(6))
  local record = { name = name, title = title, created_at = os.time() }
  local fine, err = put(self, record)
  if not fine then return nil, err end
  local sandbox
  sandbox, err = client:create { name = name, image = image, labels = { [LABEL] = self.id },
    auto_stop_interval = IDLE, owned = false }
  if not sandbox then
    self.store:remove(self.id, name)
    return nil, err
  end
  record.id = sandbox.id
  fine, err = put(self, record)
  if fine then return sandbox end
  sandbox:delete()
  return nil, err
end

-- A record without an id: its sandbox is being made, or was when a program died.
local function settle(self, client, record)
  local sandbox, err = client:get(record.name)
  if sandbox then
    record.id = sandbox.id
    put(self, record)
    return record
  end
  if errors.is(err, "not_found") and os.time() - (record.created_at or 0) > ABANDONED then
    self.store:remove(self.id, record.name)
  end
end

---The records of this conversation, in order of their making.
---@param client daytona.Client
---@return { id: string, name: string, title?: string, created_at: integer }[]?
---@return daytona.Error?
function Conversation:records(client)
  local all, why = self.store:all(self.id)
  if not all then return failure(why) end
  local list = {}
  for _, text in pairs(all) do
    local record = json.decode(text)
    if type(record) == "table" and not record.id then record = settle(self, client, record) end
    if type(record) == "table" then list[#list + 1] = record end
  end
  table.sort(list, function(a, b)
    if a.created_at ~= b.created_at then return a.created_at < b.created_at end
    return a.name < b.name
  end)
  return list
end

---Takes a sandbox out of the conversation.
---@param record table
function Conversation:forget(record)
  self.store:remove(self.id, record.name)
end

---The sandbox of that id or name, if it is of this conversation; nil and why not.
---@param call daytona.ToolCall
---@param which string
---@return daytona.Sandbox?
---@return daytona.Error|string|table record
function Conversation:find(call, which)
  local client, err = call:client()
  if not client then return nil, err end
  local records
  records, err = self:records(client)
  if not records then return nil, err end
  for _, record in ipairs(records) do
    if record.id == which or record.name == which then
      local sandbox
      sandbox, err = call:sandbox(record.id)
      if sandbox then return sandbox, record end
      if errors.is(err, "not_found") then self:forget(record) end
      return nil, err
    end
  end
  return nil, "this session has no sandbox '" .. which .. "'; list its sandboxes"
end

return M
