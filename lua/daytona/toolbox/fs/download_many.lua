-- Many files out of a sandbox in one request. The answer is matched with what was asked
-- for by its order: no name in it is believed.

local calls = require "daytona.toolbox.fs.calls"
local core = require "daytona.base.native"
local download = require "daytona.toolbox.fs.download"
local errors = require "daytona.base.errors"
local failure = require "daytona.http.failure"
local json = require "daytona.http.json"
local localfile = require "daytona.toolbox.fs.localfile"
local loop = require "daytona.loop"
local options = require "daytona.base.options"
local order = require "daytona.toolbox.order"
local pace = require "daytona.toolbox.fs.pace"
local results_of = require "daytona.toolbox.fs.results"

local download_many = {}

-- Where the parts of an answer go, one after the other.
local Receiver = {}
Receiver.__index = Receiver

local LONGEST_ERROR = 64 * 1024

local function local_problem(path, why)
  return errors.new { kind = "io", operation = "download_many", what = path, message = tostring(why) }
end

-- Begins to keep a file; its result has an error when that cannot be.
function Receiver:open(entry)
  local target = entry.target
  self.size = 0
  if target == nil then
    self.pieces = {}
  elseif type(target) == "string" then
    if localfile.is_special(target) then
      self.place, self.name = nil, nil
      local file, why = io.open(target, "wb")
      self.file, self.special = file, true
      if not file then entry.result.error = local_problem(target, why) end
    else
      self.place = localfile.target(target)
      local file, name = localfile.beside(self.place)
      self.file, self.name = file, name
      if not file then entry.result.error = local_problem(target, name) end
    end
  end
end

function Receiver:keep(entry, data)
  self.size = self.size + #data
  local result, fine, why = entry.result, true, nil
  if result.error then
    fine, why = false, result.error
  elseif self.pieces then
    self.total = self.total + #data
    if self.total > self.max_bytes then
      result.error = errors.new { kind = "too_large", operation = "download_many", what = entry.path,
                                  message = "the files are larger than allowed" }
      self.pieces = {}
    else
      self.pieces[#self.pieces + 1] = data
    end
  elseif self.file then
    fine, why = self.file:write(data)
  elseif type(entry.target) == "function" then
    fine, why = entry.target(data)
    fine = fine ~= false
  else
    fine, why = entry.target:write(data)
  end
  if not fine then result.error = errors.is(why) and why or local_problem(entry.path, why or "given up") end
  if result.error and self.strict then return nil, result.error end
  return true
end

-- Lets go of a file that will not be complete.
function Receiver:discard()
  if self.name then localfile.discard(self.file, self.name)
  elseif self.special and self.file then self.file:close() end
  self.file, self.name, self.special, self.pieces = nil, nil, nil, nil
end

function Receiver:close(entry, as_announced)
  local result = entry.result
  if result.error or not as_announced then
    self:discard()
    if not result.error then entry.changed = true end
    return
  end
  if self.pieces then
    result.data = table.concat(self.pieces)
  elseif self.file then
    local fine, why
    if self.special then fine, why = self.file:close()
    else fine, why = localfile.commit(self.file, self.name, self.place) end
    if not fine then result.error = local_problem(entry.target, why) else result.saved_as = entry.target end
  end
  if not result.error then result.size = self.size end
  self.file, self.name, self.special, self.pieces = nil, nil, nil, nil
end

-- What an error part says: JSON, or the plain text of old daemons.
local function part_error(self, entry, text)
  local value = json.decode(text)
  local status = type(value) == "table" and tonumber(value.statusCode)
  if not status then
    status = text:find("not found", 1, true) and 404 or text:find("permission denied", 1, true) and 403 or 400
  end
  return failure.from_response({ status = status, body = text },
    { operation = "download_many", what = entry.path, sandbox = self.sandbox })
end

local function protocol_error(message)
  return errors.new { kind = "protocol", operation = "download_many", message = message }
end

function Receiver:begin(headers)
  local fine, err = self.pace:breathe()
  if not fine then return nil, err end
  self.turn = self.turn + 1
  local entry = self.entries[self.turn]
  if not entry then return nil, protocol_error "the answer has more parts than were asked for" end
  self.is_error = headers.name == "error"
  if self.is_error then self.pieces, self.size, self.text = nil, 0, "" else self:open(entry) end
  return true
end

function Receiver:finish_part(as_announced)
  local entry = self.entries[self.turn]
  if self.is_error then
    entry.result.error = part_error(self, entry, self.text)
  else
    self:close(entry, as_announced)
  end
  self.done = self.turn
end

-- One event of the parser. true, or nil, err.
function Receiver:happened(what, value)
  if what == "part" then return self:begin(value) end
  if what == "part_end" then
    self:finish_part(value)
  elseif what == "data" and self.is_error then
    if #self.text < LONGEST_ERROR then self.text = self.text .. value end
  elseif what == "data" then
    return self:keep(self.entries[self.turn], value)
  end
  return true
end

function Receiver:start(transfer)
  local parser, _, message = core.multipart(transfer:header "content-type" or "")
  self.parser, self.problem = parser, not parser and message or nil
end

function Receiver:take(chunk)
  if not self.parser then return false, protocol_error(self.problem) end
  local events = self.events
  local n, code, message = self.parser:feed(chunk, events)
  for i = 1, n, 2 do
    local fine, err = self:happened(events[i], events[i + 1])
    if not fine then return false, err end
  end
  if code then return false, failure.from_transport(code, message, nil, { operation = "download_many" }) end
end

-- Whether all of it came; nil, err.
function Receiver:complete()
  if not self.parser then return nil, protocol_error "the answer is empty" end
  local fine, code, message = self.parser:finish()
  if not fine then return nil, failure.from_transport(code, message, nil, { operation = "download_many" }) end
  if self.done < #self.entries then return nil, protocol_error "the answer has fewer parts than were asked for" end
  return true
end

-- One request. How many files came, all or the first ones, and why not the rest. A `strict`
-- one ends with the first file that cannot be kept.
local function receive(self, entries, opts, strict)
  local paths = {}
  for i, entry in ipairs(entries) do paths[i] = entry.path end
  local receiver = setmetatable({
    entries = entries, sandbox = self.sandbox, turn = 0, done = 0, total = 0, events = {},
    max_bytes = opts.max_bytes or 64 * 1024 * 1024, strict = strict, pace = pace.new "download_many",
  }, Receiver)
  local function go()
    return calls.api.download_many(self, { paths = paths }, calls.transfer_fields({
      on_headers = function(transfer) receiver:start(transfer) end,
      sink = function(chunk) return receiver:take(chunk) end,
    }, opts))
  end
  local function discard() receiver:discard() end
  local response, err = loop.guard(go, discard)
  if response then response, err = receiver:complete() end
  discard()
  if receiver.parser then receiver.parser:close() end
  return receiver.done, not response and err or nil
end

-- One file by a call of its own.
local function receive_single(self, entry, opts, clock)
  local result = entry.result
  local limits = { timeout = clock:left() or 0, idle_timeout = opts.idle_timeout, max_bytes = opts.max_bytes }
  if entry.target == nil then
    result.data, result.error = self:read(entry.path, limits)
    result.size = result.data and #result.data
  else
    local info, err = self:download(entry.path, entry.target, limits)
    result.size, result.saved_as, result.error = info and info.size, info and info.saved_as, err
  end
end

local function download_entry(i, item)
  if type(item) == "string" then item = { item } end
  if type(item) ~= "table" then errors.misuse(1, "download_many: item %d is neither a path nor { path, target }", i) end
  local path, target = calls.check_path("download_many: the path of item " .. i, item[1]), item[2]
  if type(target) == "string" then
    calls.check_path("download_many: the target of item " .. i, target)
    target = download.local_target(path, target)
  elseif target ~= nil and type(target) ~= "function" and io.type(target) ~= "file" then
    errors.misuse(1, "download_many: the target of item %d must be a path, an open file or a function, got %s", i,
      type(target))
  end
  return { path = path, target = target, result = { path = path } }
end

local MANY_DOWN = {
  timeout = "seconds", idle_timeout = "seconds", on_progress = "callable", max_bytes = "positive",
}

-- A file that came only in part, or grew while it was sent, is fetched once more, where
-- that can be.
local function to_repeat(entry, single, err)
  if entry.target == nil or type(entry.target) == "string" then
    single[#single + 1] = entry
    return
  end
  entry.result.error = err or errors.new { kind = "conflict", operation = "download_many", what = entry.path,
                                           message = "the file changed while it was sent" }
end

-- The files after the first `done`; of these the first, which was cut, goes by itself, as
-- it can go on then.
local function rest_of(entries, done, single, err)
  local rest = {}
  for i = done + 1, #entries do
    if i == done + 1 then to_repeat(entries[i], single, err) else rest[#rest + 1] = entries[i] end
  end
  return rest
end

-- As many requests as it takes, each of which brings a file or leaves one to a call of its
-- own. What did not come has the reason; nil, err when nothing did.
local function receive_all(self, entries, opts, strict, single, clock)
  local connection, problem = self.sandbox:toolbox()
  if not connection then return nil, problem end
  local came, limits = 0, options.copy(opts)
  while entries[1] do
    limits.timeout = clock:left() or 0
    local done, err = receive(self, entries, limits, strict)
    came = came + done
    if not err then return true end
    if err.code ~= "truncated" or connection.max_retries == 0 then
      if came == 0 and not single[1] then return nil, err end
      for i = done + 1, #entries do entries[i].result.error = entries[i].result.error or err end
      return true
    end
    entries = rest_of(entries, done, single, err)
  end
  return true
end

local function hint_at_order(entries)
  for _, entry in ipairs(entries) do
    local err = entry.result.error
    if err then
      order.hint_if_here(err, entry.target ~= nil and errors.is(err, "not_found"), entry.path, "file",
        "an item is the path in the sandbox, then that of this machine")
    end
  end
end

---Fetches many files from the sandbox, in one request. Each item is a path, the
---content of which becomes `data` (of all together at most `max_bytes`, 64 MiB),
---or a path and a target, as of `download`.
---
---Returns what became of each, in order. When any failed: nil and an error whose
---`results` are that list, in which those that failed have an `error`. What had not come
---when the answer was cut is asked for again (if the client retries at all), and so is a
---file that changed while it was sent; but functions and open files, which were given a
---part of it, get an error.
---@param list (string|{ [1]: string, [2]: string|file*|fun(chunk: string): any, any })[]
---@param opts? { on_progress?: fun(done: integer, total?: integer), max_bytes?: integer, timeout?: number, idle_timeout?: number }
---@return daytona.FileResult[]?
---@return daytona.Error?
function download_many.download_many(self, list, opts)
  return download_many.fetch(self, list, opts, false)
end

-- The same, for trees: with `strict` nothing more is fetched when a file cannot be
-- kept here.
function download_many.fetch(self, list, opts, strict)
  results_of.check_list("download_many", list)
  opts = options.check("download_many", MANY_DOWN, opts)
  local results, entries, single = {}, {}, {}
  local clock = pace.new("download_many", opts.timeout or calls.TRANSFER_TIMEOUT)
  for i, item in ipairs(list) do
    local entry = download_entry(i, item)
    results[i] = entry.result
    local group = core.is_utf8(entry.path) and entries or single -- what JSON cannot name
    group[#group + 1] = entry
    local fine, err = clock:breathe()
    if not fine then return nil, err end
  end
  if entries[1] then
    local fine, err = receive_all(self, entries, opts, strict, single, clock)
    if not fine then return nil, err end
  end
  for _, entry in ipairs(entries) do
    if entry.changed then to_repeat(entry, single) end
  end
  for _, entry in ipairs(single) do receive_single(self, entry, opts, clock) end
  hint_at_order(entries)
  return results_of.summary(self, "download_many", results)
end

return download_many
