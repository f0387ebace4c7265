-- What the service says of a sandbox, taken over into the object: its fields. Whatever
-- another program put into labels and environment, the sandbox can be used: only an
-- answer without a usable id or state is none.

local calls = require "daytona.control.calls"
local names = require "daytona.http.names"

local record = {}

---Names that are the object's own: a field of the service of that name hides nothing.
---@type table<string, boolean>
record.own = {}

-- What must be a text to be of use here.
local TEXTS = { name = true, state = true, error_reason = true, toolbox_proxy_url = true }

-- The user's maps, name -> text. The service takes anything in them.
local MAPS = { labels = true, env = true }

-- Labels that are this library's own (lease.lua).
local OUR_LABELS = {
  ["daytona-lua"] = true, ["daytona-lua-owner"] = true, ["daytona-lua-lease"] = true, ["daytona-lua-create"] = true,
}

local function users_labels(labels)
  local out = {}
  for name, value in pairs(labels) do
    if not OUR_LABELS[name] then out[name] = value end
  end
  return out
end

-- A map as it should be: numbers and booleans as texts, without what is neither.
local function texts_of(map)
  local odd = type(map) ~= "table"
  for name, value in pairs(odd and {} or map) do
    odd = odd or type(name) ~= "string" or type(value) ~= "string"
  end
  if not odd then return map end
  local out = {}
  for name, value in pairs(type(map) == "table" and map or {}) do
    local kind = type(value)
    if type(name) == "string" and (kind == "string" or kind == "number" or kind == "boolean") then
      out[name] = tostring(value)
    end
  end
  return out
end

-- Fields that are not taken over as they are.
local ODD = { labels = true, env = true, name = true, state = true, error_reason = true, toolbox_proxy_url = true }

---The value of a field, in Lua's names, of the service's; nil where that is of no use.
---@param field string  its name, in snake_case
---@param value any
---@return any
function record.value(field, value)
  if field == "labels" then return users_labels(texts_of(value)) end
  if MAPS[field] then return texts_of(value) end
  if TEXTS[field] and type(value) ~= "string" then return nil end
  -- What is being deleted has given its name up.
  if field == "name" then return value:match("^DESTROYED_(.*)_%d+$") or value end
  return names.to_lua(value)
end

---The labels of a record that its user does not see: they stay when the others change.
---@param raw? table
---@return table<string, string>
function record.our_labels(raw)
  local labels, out = raw and raw.labels, {}
  for name in pairs(type(labels) == "table" and OUR_LABELS or {}) do out[name] = labels[name] end
  return out
end

-- Name of the service's -> the field that it becomes; false of one that is none here.
local FIELDS = setmetatable({}, {
  __index = function(fields, name)
    local field = names.snake_name(name)
    fields[name] = not record.own[field] and field
    return fields[name]
  end,
})

-- Takes away the fields that an answer had and the next one does not have.
local function clear(self, before, raw)
  for name in pairs(before) do
    if raw[name] == nil and name ~= "id" and FIELDS[name] then self[FIELDS[name]] = nil end
  end
end

---Takes an answer over. Fields that it does not have are no more. Returns the object.
---@generic T
---@param self T
---@param raw table
---@return T
function record.apply(self, raw)
  local before = rawget(self, "raw")
  if before then clear(self, before, raw) end
  for name, value in pairs(raw) do
    local field = FIELDS[name]
    if field then
      if ODD[field] then value = record.value(field, value)
      elseif type(value) == "table" then value = names.to_lua(value) end
      self[field] = value
    end
  end
  self.raw = raw
  return self
end

local function is_odd(value)
  return value ~= nil and type(value) ~= "string"
end

---What an answer about a sandbox is instead, or nil: the `flaw` of its rows.
---@param raw table  as it came
---@return string?
function record.flaw(raw)
  local field = is_odd(raw.id) and "id" or is_odd(raw.state) and "state"
  return field and string.format("no sandbox ('%s' is a %s)", field, type(raw[field])) or nil
end

---The same where the answer must be a whole sandbox.
---@param raw table
---@return string?
function record.absent(raw)
  if raw.id == nil or raw.id == "" then return "no sandbox (it has no id)" end
  return record.flaw(raw)
end

-- The `refine` of those rows.
local function take(raw, self)
  return raw.id and record.apply(self, raw) or self
end

---Asks for a sandbox: `fetch(sandbox)` takes the answer over and returns it,
---`fetch(client, { sandbox = id_or_name })` returns the answer as it came.
---@type fun(subject: table, values?: table, request?: table): any, daytona.Error?
record.fetch = calls.of_service({
  refresh = {
    "GET", "/sandbox/{sandbox}", "object", raw = true, flaw = record.flaw,
    refine = function(raw, subject, values) return values.sandbox and raw or take(raw, subject) end,
  },
}).refresh

---A row of a call that answers with the sandbox it is about.
---@param method string
---@param path string
---@param more? table  further fields of the row
---@return daytona.Call
function record.row(method, path, more)
  local row = { method, path, "object", raw = true, flaw = record.flaw, refine = take }
  for name, value in pairs(more or {}) do row[name] = value end
  return row
end

return record
