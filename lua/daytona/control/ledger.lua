-- The ledger: which sandboxes this program has made, and not seen gone. In memory; and on
-- disk, for the case that it dies: one file a process in $XDG_STATE_HOME/daytona/ledger
-- (~/.local/state without that), to which a line is appended before a sandbox is asked
-- for and when one is gone. A file of which nothing is left is removed.
--
--   owner web1/...                    the first line (owner.lua)
--   + https://...#account name mark   asked for; names are escaped as in a URL
--   - https://...#account name        gone, or never made
--
-- Lines are written whole; one that was cut by a crash is ignored. Nothing is synced: what
-- a crash of the machine loses, the labels of the sandboxes still tell. A service on this
-- machine's loopback is not noted, unless the client's `ledger` names a folder. What
-- cannot be written is not: no call fails for it.

local core = require "daytona.base.native"
local life = require "daytona.control.life"
local owner = require "daytona.control.owner"
local url = require "daytona.http.url"

local ledger = {}

--- In memory ----------------------------------------------------------------------------------

---@class daytona.Entry
---@field client daytona.Client
---@field name string
---@field id? string       once it is known
---@field path? string     of the file that has it
---@field left? boolean    nothing more is done about it here

local open, by_id, count, process = {}, {}, {}, nil

-- In the child of a fork nothing is open: all is the parent's.
local function entries()
  local pid = core.pid()
  if process ~= pid then open, by_id, count, process = {}, {}, {}, pid end
  return open
end

-- The account that a client works for.
local function account_of(client)
  return client.api_url .. "#" .. client.account
end

local function key_of(client, name)
  return account_of(client) .. " " .. url.escape(name)
end

--- On disk ------------------------------------------------------------------------------------

local PRIVATE = 448 -- rwx------

local function make_folders(path)
  local at = ""
  for part in path:gmatch "[^/]+" do
    at = at .. "/" .. part
    if not core.file_type(at) then core.make_directory(at, PRIVATE) end
  end
  return core.file_type(path) == "directory"
end

local function is_local(client)
  local parts = url.parse(client.api_url)
  return parts and url.is_loopback(parts.host)
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

local function append(path, text)
  local file = io.open(path, "a")
  if not file then return end
  file:setvbuf "full" -- written whole
  file:write(text)
  file:close()
end

-- The file of this process in a folder, begun when it is needed.
local function begin(folder)
  local own = owner.own()
  local path = ("%s/%s-%s"):format(folder, own.pid, own.state)
  if not count[path] then
    if not make_folders(folder) then return nil end
    append(path, "owner " .. owner.text(own) .. "\n")
    count[path] = 0
  end
  return path
end

local function drop(entry, key)
  local path = entry.path
  if not path then return end
  count[path] = count[path] - 1
  if count[path] > 0 then return append(path, "- " .. key .. "\n") end
  count[path] = nil
  os.remove(path)
end

--- What is made -------------------------------------------------------------------------------

---Before a sandbox is asked for.
---@param client daytona.Client
---@param name string
---@param mark? string  that it is known by, where the name is not ours alone
function ledger.begin(client, name, mark)
  local all, key = entries(), key_of(client, name)
  if all[key] then return end
  local entry = { client = client, name = name }
  all[key] = entry
  local folder = ledger.folder(client)
  entry.path = folder and begin(folder)
  if not entry.path then return end
  count[entry.path] = count[entry.path] + 1
  append(entry.path, "+ " .. key .. " " .. (mark or "") .. "\n")
end

---It is there.
---@param client daytona.Client
---@param name string
---@param id string
function ledger.made(client, name, id)
  local entry = entries()[key_of(client, name)]
  if entry then entry.id, by_id[id] = id, name end
end

---It is gone, or nothing came of it.
---@param client daytona.Client
---@param name? string
function ledger.over(client, name)
  local all = entries()
  local key = name and key_of(client, name)
  local entry = all[key or ""]
  if not entry then return end
  all[key] = nil
  if entry.id then by_id[entry.id] = nil end
  drop(entry, key)
end

---Nobody here will do anything about it any more, though it may be there.
---@param client daytona.Client
---@param name string
function ledger.leave(client, name)
  local entry = entries()[key_of(client, name)]
  if entry then entry.left = true end
end

---Whether this program still has to do with a sandbox of that name.
---@param client daytona.Client
---@param name string
---@return boolean
function ledger.knows(client, name)
  local entry = entries()[key_of(client, name)]
  return entry ~= nil and not entry.left
end

life.on_change(function(self, gone, left)
  entries()
  local name = by_id[self.id] or self.name
  if gone then ledger.over(self.client, name) end
  if left and name then ledger.leave(self.client, name) end
end)

--- What others have left ------------------------------------------------------------------------

---@class daytona.Ledger
---@field path string
---@field owner daytona.Owner
---@field accounts table<string, table<string, string>>  account -> escaped name -> mark, "" without

-- Reads one; nil where it is none.
local function read(path)
  local file = io.open(path, "r")
  local text = file and file:read "*a" or ""
  if file then file:close() end
  local of = owner.parse(text:match "^owner ([^\n]*)\n")
  if not of then return nil end
  local found = {}
  for line in text:gmatch "([^\n]*)\n" do
    local sign, account, name, mark = line:match "^([-+]) (%S+) (%S+) ?(%x*)$"
    if sign then
      found[account] = found[account] or {}
      found[account][name] = sign == "+" and mark or nil
    end
  end
  return { path = path, owner = of, accounts = found }
end

---The ledgers of processes that are no more.
---@param client daytona.Client
---@return daytona.Ledger[]
function ledger.orphans(client)
  local list, folder = {}, ledger.folder(client)
  for _, name in ipairs(folder and core.list_directory(folder) or {}) do
    local found = read(folder .. "/" .. name)
    if found and owner.fate(found.owner) == "gone" then list[#list + 1] = found end
  end
  return list
end

---What a dead process had open in a client's account: name -> mark.
---@param of daytona.Ledger
---@param client daytona.Client
---@return table<string, string>
function ledger.names(of, client)
  local names = {}
  for name, mark in pairs(of.accounts[account_of(client)] or {}) do names[url.unescape(name)] = mark end
  return names
end

---Notes in the ledger of a dead process that a sandbox is gone.
---@param of daytona.Ledger
---@param client daytona.Client
---@param name string
function ledger.settle(of, client, name)
  local key = url.escape(name)
  local names = of.accounts[account_of(client)]
  if not names or not names[key] then return end
  append(of.path, "\n- " .. key_of(client, name) .. "\n") -- its last line may have been cut
  names[key] = nil
end

---Removes the ledger of a dead process, when nothing is left of it.
---@param of daytona.Ledger
function ledger.sweep(of)
  for _, left in pairs(of.accounts) do
    if next(left) then return end
  end
  os.remove(of.path)
end

return ledger
