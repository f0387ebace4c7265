-- What the service keeps besides sandboxes (snapshots, volumes, secrets, warm pools): what
-- objects of it have in common. Their fields are the service's, in snake_case, as of the
-- last answer; `raw` is that answer.

local calls = require "daytona.control.calls"
local errors = require "daytona.base.errors"
local loop = require "daytona.loop"
local methods = require "daytona.base.methods"
local names = require "daytona.http.names"
local options = require "daytona.base.options"
local watch = require "daytona.control.watch"

local resource = {}

-- Class -> the word for one of it.
local word_of = {}

---A class of such objects.
---@param class_name string  "daytona.Volume"
---@param word string        "volume"
---@return table
function resource.class(class_name, word)
  local class = { __name = class_name }
  class.__index = class
  word_of[class] = word
  function class.__tostring(self)
    local state = rawget(self, "state")
    return string.format("%s (%s%s)", word, tostring(self.name or self.id), state and ", " .. state or "")
  end
  return class
end

---A class of what is at a client under a noun: `client.volumes`.
---@param class_name string
---@param noun string
---@return table class
---@return fun(client: daytona.Client): table new
function resource.collection(class_name, noun)
  local class = { __name = class_name }
  class.__index = class
  function class.__tostring(self) return noun .. " of " .. tostring(self.client) end
  return class, function(client) return setmetatable({ client = client }, class) end
end

---Takes an answer over; returns the object.
---@param self table
---@param raw table  as it came
---@return table
function resource.apply(self, raw)
  local class = getmetatable(self)
  local function is_own(field) return rawget(class, field) ~= nil or field == "client" or field == "raw" end
  for name in pairs(rawget(self, "raw") or {}) do
    local field = names.snake_name(name)
    if not is_own(field) then self[field] = nil end
  end
  for name, value in pairs(raw) do
    local field = names.snake_name(name)
    if not is_own(field) then self[field] = names.to_lua(value) end
  end
  self.raw = raw
  return self
end

---An object of an answer.
---@param class table
---@param subject table  a client, or anything of one
---@param raw table
---@return table
function resource.new(class, subject, raw)
  return resource.apply(setmetatable({ client = rawget(subject, "client") or subject }, class), raw)
end

---A function that makes objects of the class of what an event tells.
---@param class table
---@return fun(client: daytona.Client, raw: table): table
function resource.maker(class)
  return function(client, raw) return resource.new(class, client, raw) end
end

---Whether a value is of the class.
function resource.is(class, value)
  return getmetatable(value) == class
end

local function flaw_of(word)
  return function(raw)
    if type(raw.id) ~= "string" or raw.id == "" then return "no " .. word .. " (it has no id)" end
    for _, field in ipairs { "state", "name" } do
      local kind = type(raw[field])
      if kind ~= "string" and kind ~= "nil" then return string.format("no %s ('%s' is a %s)", word, field, kind) end
    end
  end
end

-- A row with further fields.
local function with(row, more)
  for name, value in pairs(more or {}) do row[name] = value end
  return row
end

---A row that answers with an object of the class: the one it is about, or another.
---@return daytona.Call
function resource.one(class, method, path, more)
  return with({
    method, path, "object", raw = true, flaw = flaw_of(word_of[class]),
    refine = function(raw, subject)
      if resource.is(class, subject) then return resource.apply(subject, raw) end
      return resource.new(class, subject, raw)
    end,
  }, more)
end

-- What is wrong with a list of objects, or nil.
local function list_flaw(class, list)
  local flaw = flaw_of(word_of[class])
  if type(list) ~= "table" then return "no list" end
  for i = 1, #list do
    local found = type(list[i]) ~= "table" and "no list of " .. word_of[class] .. "s" or flaw(list[i])
    if found then return found end
  end
end

local function objects(class, subject, list)
  local out = {}
  for i = 1, #list do
    out[i] = resource.new(class, subject, list[i])
    loop.breathe()
  end
  return out
end

---A row that answers with a list of objects.
---@return daytona.Call
function resource.lists(class, path, more)
  return with({
    "GET", path, "list", raw = true,
    flaw = function(list) return list_flaw(class, list) end,
    refine = function(list, subject) return objects(class, subject, list) end,
  }, more)
end

---One page of a list. `next_cursor` is nil at the end.
---@class daytona.ResourcePage
---@field items table[]
---@field total? integer
---@field next_cursor? any
local Page = { __name = "daytona.ResourcePage" }
Page.__index = Page

---@private
function Page:__tostring()
  return string.format("page (%d of %s)", #self.items, tostring(self.total or "them"))
end

-- The cursor of what comes after a page: the service's, or the number of the next page.
local function next_of(raw)
  if type(raw.nextCursor) == "string" and raw.nextCursor ~= "" then return raw.nextCursor end
  local page, pages = tonumber(raw.page), tonumber(raw.totalPages)
  if page and pages and page < pages then return page + 1 end
end

---A row that answers with a page of objects.
---@return daytona.Call
function resource.pages(class, path, more)
  return with({
    "GET", path, "object", raw = true,
    flaw = function(raw) return list_flaw(class, raw.items or {}) end,
    refine = function(raw, subject)
      return setmetatable({
        items = objects(class, subject, raw.items or {}), total = tonumber(raw.total), next_cursor = next_of(raw),
      }, Page)
    end,
  }, more)
end

--- What is done to one ----------------------------------------------------------------------

local function failed_as(self, operation, err)
  err.operation, err.what = operation, err.what or self.name or self.id
  return nil, err
end

local function state_error(self, operation, fields)
  local reason = self.error_reason
  fields.kind, fields.operation, fields.what, fields.state = fields.kind or "state", operation, self.name, self.state
  fields.message = fields.message .. (reason and reason ~= "" and ": " .. reason or "")
  return nil, errors.new(fields)
end

---How an object is waited for.
---@class daytona.Awaited
---@field operation string
---@field refresh fun(self: table, values: nil, request: table): any, daytona.Error?
---@field targets table<string, boolean>
---@field dead table<string, boolean>  states from which none of them can come
---@field gone_is_fine? boolean
---@field deadline? number

---Waits until its state is one of `targets`. true, or nil, err.
---@param self table
---@param of daytona.Awaited
---@return true?
---@return daytona.Error?
function resource.wait(self, of)
  local word, gone = word_of[getmetatable(self)], false
  local function judge()
    if gone or of.targets[self.state] then return true end
    if not of.dead[self.state] then return nil end
    return state_error(self, of.operation, { message = "the " .. word .. " is in state " .. self.state })
  end
  local over, err = judge()
  if over or err then return over, err end
  return watch.over {
    judge = judge, deadline = of.deadline, client = self.client, key = word .. " " .. self.id,
    hear = function(news)
      local all = watch.merged(self.raw, news)
      return all and resource.apply(self, all) and true or false
    end,
    look = function(timeout)
      local fine, why = of.refresh(self, nil, { timeout = timeout })
      gone = not fine and of.gone_is_fine and errors.is(why, "not_found") or false
      return fine or gone or nil, why
    end,
    failed = function(why) return failed_as(self, of.operation, why) end,
    late = function()
      return state_error(self, of.operation, {
        kind = "timeout", code = "wait",
        message = "the " .. word .. " was still " .. tostring(self.state) .. " when the time was over",
      })
    end,
  }
end

local TRIES = 3

---Deletes it; success when it is gone already. After an answer that tells nothing it is
---looked at.
---@param self table
---@param call fun(self: table, values: nil, request: table): any, daytona.Error?
---@param refresh fun(self: table, values: nil, request: table): any, daytona.Error?
---@param going table<string, boolean>  states on the way
---@param timeout? number
---@return true?
---@return daytona.Error?
function resource.delete(self, call, refresh, going, timeout)
  local done, err
  for _ = 1, TRIES do
    done, err = call(self, nil, { timeout = timeout })
    if done or errors.is(err, "not_found") then return true end
    if not calls.is_lost(err) then break end
    local there, why = refresh(self, nil, { timeout = timeout })
    if errors.is(why, "not_found") or there and going[self.state] then return true end
  end
  return nil, err
end

---The object that a call is about: itself, or the one of that id or name.
---@param class table
---@param operation string
---@param which any
---@param get fun(id_or_name: string): table?, daytona.Error?
---@return table?
---@return daytona.Error?
function resource.resolve(class, operation, which, get)
  if resource.is(class, which) then return which end
  if type(which) ~= "string" or which == "" then
    errors.misuse(1, "%s takes a %s, its name or its id, got %s", operation, word_of[class], type(which))
  end
  local object, err = get(which)
  if not object then
    err.operation = operation
    return nil, err
  end
  return object
end

local DELETE = { timeout = "seconds", wait = "boolean", missing_ok = "boolean" }

---Deletes by object, id or name: of the latter two, kind "not_found" where there is none,
---unless `missing_ok`.
---@param class table
---@param which any
---@param opts? table
---@param get fun(id_or_name: string): table?, daytona.Error?
---@return true?
---@return daytona.Error?
function resource.delete_of(class, which, opts, get)
  opts = options.check("delete", DELETE, opts)
  local object, err = resource.resolve(class, "delete", which, get)
  if object then return object:delete { timeout = opts.timeout, wait = opts.wait } end
  if opts.missing_ok and errors.is(err, "not_found") then return true end
  return nil, err
end

local UUID = "^%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$"

---Whether a text has the form of the service's ids.
---@param text string
---@return boolean
function resource.is_id(text)
  return text:find(UUID) ~= nil
end

resource.guard = methods.guard

return resource
