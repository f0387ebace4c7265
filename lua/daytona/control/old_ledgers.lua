-- The ledgers of processes that are no more (ledger_file.lua): what they had open.

local core = require "daytona.base.native"
local fate = require "daytona.control.fate"
local ledger = require "daytona.control.ledger"
local ledger_file = require "daytona.control.ledger_file"
local owner = require "daytona.control.owner"
local url = require "daytona.http.url"

local M = {}

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
function M.orphans(client)
  local list, folder = {}, ledger.folder(client)
  for _, name in ipairs(folder and core.list_directory(folder) or {}) do
    local found = read(folder .. "/" .. name)
    if found and fate.of(found.owner) == "gone" then list[#list + 1] = found end
  end
  return list
end

---What a dead process had open in a client's account: name -> mark.
---@param of daytona.Ledger
---@param client daytona.Client
---@return table<string, string>
function M.names(of, client)
  local names = {}
  for name, mark in pairs(of.accounts[ledger.account(client)] or {}) do names[url.unescape(name)] = mark end
  return names
end

---Notes in the ledger of a dead process that a sandbox is gone.
---@param of daytona.Ledger
---@param client daytona.Client
---@param name string
function M.settle(of, client, name)
  local key = url.escape(name)
  local names = of.accounts[ledger.account(client)]
  if not names or not names[key] then return end
  -- Its last line may have been cut; another reaper may have removed it meanwhile.
  ledger_file.append(of.path, "\n- " .. ledger.key(client, name) .. "\n", true)
  names[key] = nil
end

---Removes the ledger of a dead process, when nothing is left of it.
---@param of daytona.Ledger
function M.sweep(of)
  for _, left in pairs(of.accounts) do
    if next(left) then return end
  end
  os.remove(of.path)
end

return M
