-- Records of one kind beside sandboxes (snapshots, volumes, secrets, ...): by id and by
-- name, each kept on disk in a folder of its own, <dir>/<kind>/<id>/record.json.

local files = require "daytona.devserver.control.files"
local json = require "daytona.devserver.http.json"

local Records = {}
Records.__index = Records

---@param dir string
---@param kind string   "volumes"
---@return table
function Records.new(dir, kind)
  local self = setmetatable({ dir = dir .. "/" .. kind, by_id = {}, by_name = {} }, Records)
  for _, id in ipairs(files.list(self.dir)) do
    local record = json.decode(files.read(self:folder { id = id } .. "/record.json") or "")
    if type(record) == "table" and record.id == id then self:put(record) end
  end
  return self
end

function Records:folder(record)
  return self.dir .. "/" .. record.id
end

---Puts a record into the indexes only.
function Records:put(record)
  self.by_id[record.id] = record
  if record.name and not record.hidden then self.by_name[record.name] = record end
end

---Keeps a record, new or changed.
---@param record table
---@return boolean? ok, string? message
function Records:keep(record)
  local ok, message = files.mkdir(self:folder(record))
  if ok then ok, message = files.write(self:folder(record) .. "/record.json", json.encode(record)) end
  if not ok and not self.by_id[record.id] then files.remove(self:folder(record)) end
  if ok then self:put(record) end
  return ok, message
end

---Gives it another name; the old one is free at once.
function Records:rename(record, name)
  if self.by_name[record.name] == record then self.by_name[record.name] = nil end
  record.name = name
  return self:keep(record)
end

---Forgets a record and removes its files.
function Records:remove(record)
  self.by_id[record.id] = nil
  if self.by_name[record.name] == record then self.by_name[record.name] = nil end
  files.remove(self:folder(record))
end

---@param id_or_name string
---@return table?
function Records:find(id_or_name)
  return self.by_id[id_or_name] or self.by_name[id_or_name]
end

---All, in the order of a field, or newest last.
---@param field? string
---@return table[]
function Records:all(field)
  local list = {}
  for _, record in pairs(self.by_id) do list[#list + 1] = record end
  field = field or "created"
  table.sort(list, function(a, b)
    if a[field] ~= b[field] then return (a[field] or 0) < (b[field] or 0) end
    return a.id < b.id
  end)
  return list
end

return Records
