-- The ledger: which sandboxes this program has made, and not seen gone. In memory; and on
-- disk (ledger_file.lua), for the case that it dies. A service on this machine's loopback is
-- not noted there, unless the client's `ledger` names a folder.

local core = require "daytona.base.native"
local life = require "daytona.control.life"
local url = require "daytona.http.url"

local ledger = {}

--- In memory ----------------------------------------------------------------------------------

---@class daytona.Entry
---@field client daytona.Client
---@field name string
---@field id? string       once it is known
---@field path? string     of the file that has it
---@field left? boolean    nothing more is done about it here

local open, by_id, process = {}, {}, nil

-- In the child of a fork nothing is open: all is the parent's.
local function entries()
  local pid = core.pid()
  if process ~= pid then open, by_id, process = {}, {}, pid end
  return open
end

---The account that a client works for.
---@param client daytona.Client
---@return string
function ledger.account(client)
  return client.api_url .. "#" .. client.account
end

---What stands for a sandbox of that name in the ledger.
---@param client daytona.Client
---@param name string
---@return string
function ledger.key(client, name)
  return ledger.account(client) .. " " .. url.escape(name)
end

-- Address of a service -> whether it is on this machine.
local here = {}

local function is_local(client)
  local address = client.api_url
  if here[address] == nil then
    local parts = url.parse(address)
    here[address] = parts and url.is_loopback(parts.host) or false
  end
  return here[address]
end

---The folder of a client's ledgers; nil where it keeps none.
---@param client daytona.Client
---@return string?
function ledger.folder(client)
  local chosen = rawget(client, "ledger")
  if chosen ~= nil then return chosen or nil end
  if is_local(client) then return nil end
  local state, home = os.getenv "XDG_STATE_HOME", os.getenv "HOME"
  if state and state:sub(1, 1) == "/" then return state .. "/daytona/ledger" end
  return home and home:sub(1, 1) == "/" and home .. "/.local/state/daytona/ledger" or nil
end

--- What is made -------------------------------------------------------------------------------

---Before a sandbox is asked for.
---@param client daytona.Client
---@param name string
---@param mark? string  that it is known by, where the name is not ours alone
---@return boolean  false: one of that name is there already, and stays noted whatever comes of this
function ledger.begin(client, name, mark)
  local all, key = entries(), ledger.key(client, name)
  if all[key] and not all[key].left then return false end
  if all[key] then ledger.over(client, name) end
  local entry = { client = client, name = name }
  all[key] = entry
  local folder = ledger.folder(client)
  entry.path = folder and require("daytona.control.ledger_file").add(folder, key, mark)
  return true
end

---It is there.
---@param client daytona.Client
---@param name string
---@param id string
function ledger.made(client, name, id)
  local entry = entries()[ledger.key(client, name)]
  if entry then entry.id, by_id[id] = id, name end
end

---It is gone, or nothing came of it.
---@param client daytona.Client
---@param name? string
function ledger.over(client, name)
  local all = entries()
  local key = name and ledger.key(client, name)
  local entry = all[key or ""]
  if not entry then return end
  all[key] = nil
  if entry.id then by_id[entry.id] = nil end
  if entry.path then require("daytona.control.ledger_file").drop(entry.path, key) end
end

---Nobody here will do anything about it any more, though it may be there.
---@param client daytona.Client
---@param name string
function ledger.leave(client, name)
  local entry = entries()[ledger.key(client, name)]
  if entry then entry.left = true end
end

---Whether this program still has to do with a sandbox of that name.
---@param client daytona.Client
---@param name string
---@return boolean
function ledger.knows(client, name)
  local entry = entries()[ledger.key(client, name)]
  return entry ~= nil and not entry.left
end

-- Of a sandbox that is not the one that has its name now nothing is noted.
local function is_other(self, name)
  local entry = name and open[ledger.key(self.client, name)]
  return entry and entry.id and entry.id ~= self.id
end

life.on_change(function(self, gone, left)
  entries()
  local name = by_id[self.id] or self.name
  if is_other(self, name) then return end
  if gone then ledger.over(self.client, name) end
  if left and name then ledger.leave(self.client, name) end
end)

return ledger
