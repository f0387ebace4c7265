-- One way to make a call: an endpoint stands once, as a row in the table of its noun,
-- and becomes a function here. Nothing here knows a noun or a server; who is asked
-- says control/calls.lua (the service) or toolbox/calls.lua (a sandbox's daemon).
--
--   local api = calls.of_daemon {
--     status = { "GET",  "/git/status", "object", flaw = status_flaw },
--     add    = { "POST", "/git/add", safe = true },
--     stat   = { "GET",  "/process/pty/{id}", "object", refine = new_terminal },
--   }
--   local status, err = api.status(sandbox, { path = "repo" })
--   local done, err = api.add(sandbox, { path = "repo", files = { "." } }, { timeout = 5 })
--
-- A function takes the object that it is about (a sandbox; a client, or an object of
-- one), values by their names, and, seldom, further fields of the request
-- (daytona.Request: timeout, what, sink, headers, secrets, ...), which win over all
-- that the row says. Values whose names stand in the path in braces are put there; of
-- the others, those that `query` lists go into the query and the rest into the body,
-- which is JSON. Where there can be no body (GET, HEAD, DELETE) all go into the query.
-- Names are snake_case here, both of what is sent and of what comes back; the wire's are
-- made of them and theirs of the wire's in http/names.lua.
--
-- It returns what came back, or true where nothing is expected; else nil and an error.

local http = require "daytona.http"
local loop = require "daytona.loop"
local names = require "daytona.http.names"
local url = require "daytona.http.url"

local calls = {}

---A row: an endpoint, by the name that errors give it.
---@class daytona.Call
---@field [1] string           method
---@field [2] string           path, "/sandbox/{sandbox}/ports/{port}"; an id that no value gives is the subject's `id`
---@field [3]? "object"|"list"|"string"|"any"|"text"|"response"  what comes back: JSON of that kind, the body as text, or the whole daytona.Response (for sinks and headers); nothing of interest without
---@field operation? string    how errors call it; the row's name
---@field what? string         the value that errors name; without, the first id in a path that has none of the subject
---@field query? string[]      values of a call with a body that go into the query all the same
---@field body? boolean        there is one in any case: "{}" without values; of DELETE, too
---@field as_is? boolean       values are sent under their names as they are (snake_case on the wire)
---@field raw? boolean         what comes back keeps the wire's names; `flaw` and `refine` then see these
---@field lists? string[]      values that are arrays even when empty
---@field secret? string[]     values that errors must not show
---@field safe? boolean        repeating it is harmless; GET, HEAD, PUT, DELETE are
---@field optional? boolean    an empty body will do, too; the call then returns true
---@field timeout? number      seconds, where a call says nothing
---@field since? string        the first version that knows it: an older one's answer is "unsupported"
---@field flaw? fun(value: any): string?             what the answer is instead of what it should be
---@field item_flaw? fun(item: any): string?         the same of each item of a list
---@field refine? fun(value: any, subject: table, values: table): any, daytona.Error?  what becomes of the answer
---@field before? fun(subject: table, values: table): boolean?, daytona.Error?  asked before anything is sent; nil, err is the answer then
---@field explain? fun(err: daytona.Error, subject: table, values: table): daytona.Error  what an error means here
---@field args? { [1]: string, [2]: any, optional: boolean? }[]  see calls.method
---@field options? table<string, any>                            see calls.method
---@field prepare? fun(values: table, request: table)             see calls.method

---Who is asked.
---@class daytona.Way
---@field connect fun(subject: table, operation: string): daytona.Connection?, daytona.Error?
---@field about? fun(subject: table, request: daytona.Request)  what errors are to say of the subject
---@field explain? fun(err: daytona.Error, row: daytona.Call, subject: table): daytona.Error

---Every table of rows that was made functions of, for those who count endpoints.
---@type table<string, daytona.Call>[]
calls.tables = {}

--- Rows ----------------------------------------------------------------------------------

local function set_of(list)
  if not list then return nil end
  local set = {}
  for i = 1, #list do set[list[i]] = true end
  return set
end

local translator

-- What is read off a row once: its path with bare braces, the names in them, and the
-- parts of a request that never change.
local function compile(name, row)
  local ids = {}
  local path = row[2]:gsub("{([%w_]+)}", function(id)
    ids[#ids + 1] = id
    return "{}"
  end)
  local lists
  for _, field in ipairs(row.lists or {}) do
    lists = lists or {}
    lists[row.as_is and field or names.camel_name(field)] = true
  end
  local before, after = path, ""
  if ids[1] then before, after = path:match "^([^{}]*){}([^{}]*)$" end
  local bodyless = not row.body and (row[1] == "GET" or row[1] == "HEAD" or row[1] == "DELETE")
  return {
    row = row, path = path, before = before, after = after, ids = ids, id_names = set_of(ids),
    operation = row.operation or name, flaw = translator(row),
    query = not bodyless and (set_of(row.query) or {}) or nil, lists = lists,
    json = row[3] ~= "text" and row[3] ~= "response" and row[3] or nil,
  }
end

--- What is sent --------------------------------------------------------------------------

local unpack = table.unpack or unpack

-- The path, and the first id in it where all were given by name.
local function path_of(made, subject, values)
  local before = made.before
  if before then -- as most: no id, or one
    local name = made.ids[1]
    if not name then return before, nil end
    local id = values[name]
    return before .. url.segment(id == nil and subject.id or id) .. made.after, id
  end
  local ids, own = {}, false
  for i, id in ipairs(made.ids) do
    ids[i] = values[id]
    if ids[i] == nil then ids[i], own = subject.id, true end
  end
  return url.path(made.path, unpack(ids)), not own and ids[1] or nil
end

-- The values that the path does not take: for the query and for the body, or nil.
local function sorted(made, values)
  local query, body
  for name, value in pairs(values) do
    if not made.id_names[name] then
      if not made.query or made.query[name] then
        query = query or {}
        query[made.row.as_is and name or names.camel_name(name)] = value
      else
        body = body or {}
        body[name] = value
      end
    end
  end
  if made.row.body then body = body or {} end
  if body and not made.row.as_is then body = names.to_service(body) end
  return query, body
end

-- Merges what a caller says in the wire's own names.
local function merged(into, extra)
  if not extra then return into end
  into = into or {}
  for name, value in pairs(extra) do into[name] = value end
  return into
end

local function secrets_of(names_of_secrets, values)
  local secrets = {}
  for _, name in ipairs(names_of_secrets) do secrets[#secrets + 1] = values[name] end
  return secrets
end

local EMPTY = {}

local function request_of(made, subject, values, more)
  local row = made.row
  more = more or EMPTY
  local path, first = path_of(made, subject, values)
  local query, body = sorted(made, values)
  local request = {
    method = row[1], path = path, query = merged(query, more.extra_query),
    json = merged(body, more.extra), lists = made.lists, answer = made.json,
    optional = row.optional, safe = row.safe, timeout = row.timeout, operation = made.operation,
    what = first, secrets = row.secret and secrets_of(row.secret, values),
  }
  if row.what then request.what = values[row.what] end
  for name, value in pairs(more) do request[name] = value end
  return request
end

--- What comes back ------------------------------------------------------------------------

-- The items one by one, as there may be many: a flaw, or nil, err when it was ended.
local function translate_list(request, row, value)
  local list, flaw = {}, row.item_flaw
  for i = 1, #value do
    list[i] = names.to_lua(value[i], loop.breathe)
    local wrong = flaw and flaw(list[i])
    if wrong then return wrong end
    local fine, err = loop.breathe()
    if not fine then return nil, err end
  end
  request.value = list
  return row.flaw and row.flaw(list)
end

-- A `flaw` of requests that lets them keep their answers in Lua's names, which that of the
-- row sees, too.
function translator(row)
  local flaw = row.flaw
  if row.raw then return flaw end
  return function(value, request)
    if request.answer == "list" then return translate_list(request, row, value) end
    request.value = names.to_lua(value, loop.breathe)
    return flaw and flaw(request.value)
  end
end

local function value_of(response, request, wanted)
  if wanted == "response" then return response end
  if wanted == "text" then return response.body end
  if request.value ~= nil then return request.value end
  if request.answer and response.json ~= nil then return response.json end
  return true
end

--- Functions -------------------------------------------------------------------------------

local function failed(err, way, row, subject, values)
  if way.explain then err = way.explain(err, row, subject) end
  if row.explain then err = row.explain(err, subject, values) end
  return nil, err
end

local function function_of(made, way)
  local row = made.row
  return function(subject, values, more)
    local connection, err = way.connect(subject, made.operation)
    if not connection then return nil, err end
    values = values or EMPTY
    if row.before then
      local fine, why = row.before(subject, values)
      if not fine then return nil, why end
    end
    local request = request_of(made, subject, values, more)
    if way.about then way.about(subject, request) end
    if row.raw or not request.answer then
      request.flaw = request.flaw or row.flaw
    else
      request.flaw = made.flaw
    end
    local response
    response, err = http.request(connection, request)
    if not response then return failed(err, way, row, subject, values) end
    local value = value_of(response, request, row[3])
    if not row.refine or value == true then return value end
    return row.refine(value, subject, values)
  end
end

-- Functions -> their rows, for `method`.
local made_of = setmetatable({}, { __mode = "k" })

---Functions of rows, by their names.
---@param rows table<string, daytona.Call>
---@param way daytona.Way
---@return table<string, fun(subject: table, values?: table, request?: table): any, daytona.Error?>
function calls.make(rows, way)
  calls.tables[#calls.tables + 1] = rows
  local api = {}
  for name, row in pairs(rows) do
    local made = compile(name, row)
    api[name] = function_of(made, way)
    made_of[api[name]] = made
  end
  return api
end

---The path of a call, for those who open a WebSocket there.
---@param call function  one of those that `make` returned
---@param subject table
---@param values? table<string, string>  the ids in it
---@return string
function calls.path(call, subject, values)
  return (path_of(made_of[call], subject, values or EMPTY))
end

--- Methods ----------------------------------------------------------------------------------

---A public method of a row that says what callers give: `args`, by position, each
---{ name, type of base/options, optional = }, then `options`, a table of types by name
---(`timeout` and `max_bytes` are the request's). Everything is checked, and goes under
---its name. The method's object is the subject. A `prepare` refuses or changes what is
---right one by one, but not together.
---
---    status = { "GET", "/git/status", "object", args = { { "path", "text" } } }
---    Git.status = calls.method(api.status)
---@param call function  one of those that `make` returned
---@return fun(self: table, ...): any, daytona.Error?
function calls.method(call)
  local made = made_of[call]
  return function(self, ...)
    local values, request = require("daytona.http.given").check(made, { ... }, select("#", ...))
    return call(self, values, request)
  end
end

return calls
