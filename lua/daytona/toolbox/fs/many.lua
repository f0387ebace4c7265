-- Many files in one request. Files are opened when their turn comes, so that
-- neither memory nor descriptors grow with their number. Answers are matched
-- with what was asked for by their order: no name in them is believed.

local core = require "daytona.base.native"
local download = require "daytona.toolbox.fs.download"
local errors = require "daytona.base.errors"
local failure = require "daytona.http.failure"
local calls = require "daytona.toolbox.fs.calls"
local http = require "daytona.http"
local json = require "daytona.http.json"
local localfile = require "daytona.toolbox.fs.localfile"
local localtree = require "daytona.toolbox.fs.localtree"
local loop = require "daytona.loop"
local options = require "daytona.base.options"
local random = require "daytona.base.random"
local upload = require "daytona.toolbox.fs.upload"

local many = {}

-- Small pieces are joined up to about this size before they are sent.
local CHUNK = 128 * 1024

---What became of one file.
---@class daytona.FileResult
---@field path string          in the sandbox
---@field size? integer        bytes that were moved
---@field data? string         of a download without a target
---@field saved_as? string     of a download to a local path
---@field error? daytona.Error why it was not moved

local function check_list(operation, list)
  options.argument(operation .. ": the list", "table", list)
  for name in pairs(list) do
    if type(name) ~= "number" then errors.misuse(1, "%s: the list has a field '%s'", operation, tostring(name)) end
  end
  return list
end

-- The results, or nil and an error that says how many failed, and holds them.
local function summary(self, operation, results)
  local failed, first = 0, nil
  for _, result in ipairs(results) do
    if result.error then failed, first = failed + 1, first or result end
  end
  if failed == 0 then return results end
  local cause = first.error
  return nil, errors.new {
    kind = cause.kind, code = cause.code, status = cause.status, operation = operation, sandbox = self.sandbox,
    what = first.path, cause = cause, results = results, retryable = cause.retryable,
    message = failed == 1 and #results == 1 and cause.message
      or string.format("%d of %d files failed, the first: %s", failed, #results, cause.message),
  }
end

local function fail_rest(results, err)
  for _, result in ipairs(results) do
    if not result.size and not result.error then result.error = err end
  end
end

--- Uploading ----------------------------------------------------------------------------

-- The body of an upload, in chunks.
local Body = {}
Body.__index = Body

local function new_body(entries)
  local boundary = "daytona-" .. random.hex(16)
  return setmetatable({ entries = entries, boundary = boundary, turn = 0 }, Body)
end

-- Everything of an entry but its content.
function Body:head(i)
  local head = "--" .. self.boundary .. '\r\nContent-Disposition: form-data; name="files['
  return head .. (i - 1) .. '].path"\r\n\r\n' .. self.entries[i].path .. "\r\n" .. head .. (i - 1)
    .. '].file"; filename="file"\r\nContent-Type: application/octet-stream\r\n\r\n'
end

function Body:tail()
  return "--" .. self.boundary .. "--\r\n"
end

-- Bytes in all; nil when not all sources tell their length.
function Body:length()
  local sum = #self:tail()
  for i, entry in ipairs(self.entries) do
    if not entry.length then return nil end
    sum = sum + #self:head(i) + entry.length + 2
  end
  return sum
end

function Body:close()
  if self.file and self.opened then self.file:close() end
  self.file, self.opened, self.source, self.left = nil, nil, nil, nil
end

-- Whether all of it can be sent a second time.
function Body:rewind()
  self:close()
  for _, entry in ipairs(self.entries) do
    if not entry.again then return false end
  end
  self.turn = 0
  return true
end

-- Begins with the next entry: its head, or nil and why.
function Body:begin()
  self.turn = self.turn + 1
  local entry = self.entries[self.turn]
  if not entry then return self:tail() end
  self.left, self.source, self.file = entry.length, entry.source, entry.file
  local head = self:head(self.turn)
  if entry.data then
    self.left = nil
    return head .. entry.data .. "\r\n"
  elseif entry.name then
    local file, why = io.open(entry.name, "rb")
    if not file then return nil, why end
    self.file, self.opened = file, true
  end
  return head
end

-- Some content of the current entry, and whether it is over; nil and why.
function Body:content()
  if self.source then
    local chunk, why = self.source()
    if chunk == nil and why ~= nil then return nil, why end
    if chunk == nil and self.left and self.left > 0 then return nil, "it is shorter than was said" end
    if chunk and self.left then
      if #chunk > self.left then return nil, "it is longer than was said" end
      self.left = self.left - #chunk
    end
    return chunk or "", chunk == nil
  end
  local chunk = self.left ~= 0 and self.file:read(math.min(self.left or CHUNK, CHUNK)) or nil
  if not chunk and self.left and self.left > 0 then return nil, "it became shorter while it was sent" end
  if self.left then self.left = self.left - #(chunk or "") end
  return chunk or "", chunk == nil or self.left == 0
end

-- The next chunk, nil at the end; nil and an error when a source failed.
function Body:next()
  local pieces, size = {}, 0
  while size < CHUNK and self.turn <= #self.entries do
    local piece, over, why
    if self.file or self.source then
      piece, over = self:content()
      if not piece then why = over end
      if piece and over then
        self:close()
        piece = piece .. "\r\n"
      end
    else
      piece, why = self:begin()
    end
    if not piece then
      local path = self.entries[self.turn].path
      self:close()
      if errors.is(why) then return nil, why end
      return nil, errors.new { kind = "io", code = "source", operation = "upload_many", what = path,
                               message = tostring(why) }
    end
    pieces[#pieces + 1], size = piece, size + #piece
  end
  return size > 0 and table.concat(pieces) or nil
end

-- What is to be sent of one item; nil and why when it cannot be read.
local function entry_of(source, path, length)
  if type(source) == "string" then
    local kind, size = core.stat(source)
    if kind == nil then return calls.failure("upload_many", "io", size, source) end
    if kind == "directory" then return calls.failure("upload_many", "io", "Is a directory", source) end
    if kind ~= "file" then size = nil end
    return { path = path, name = source, length = size, again = kind == "file" }
  end
  local entry, err = upload.content_of(source, length)
  if not entry then return nil, err end
  entry.path, entry.again = path, entry.data ~= nil
  return entry
end

-- The daemon's word on each file: its lists are in the order of the parts.
local function take_answer(entries, answer)
  local files, problems = answer.files, answer.errors
  files, problems = type(files) == "table" and files or {}, type(problems) == "table" and problems or {}
  local f, p = 1, 1
  for _, entry in ipairs(entries) do
    local result, file, problem = entry.result, files[f], problems[p]
    local is_problem = type(problem) == "string" and problem:sub(1, #entry.path + 1) == entry.path .. ":"
    if type(file) == "table" and not is_problem and (file.path == entry.path or not core.is_utf8(entry.path)) then
      f = f + 1
      result.size = type(file.bytes) == "number" and file.bytes or entry.length or 0
      if entry.length and entry.length ~= result.size then
        result.error = errors.new {
          kind = "connection", code = "truncated", operation = "upload_many", what = entry.path,
          message = string.format("%d of %d bytes arrived", result.size, entry.length),
        }
      end
    elseif is_problem then
      p = p + 1
      local kind, code = calls.problem(problem)
      result.error = errors.new {
        kind = kind or "invalid", code = code, status = 400, operation = "upload_many", what = entry.path,
        message = problem:sub(#entry.path + 3),
      }
    end
  end
  return problems[p] -- one that is about no file
end

local function send(self, entries, results, opts)
  local connection, err = self.sandbox:toolbox()
  if not connection then return nil, err end
  local body = new_body(entries)
  local request = calls.transfer_fields({
    body_source = function() return body:next() end, rewind = function() return body:rewind() end,
    body_length = body:length(), accept = 400,
    headers = { ["Content-Type"] = "multipart/form-data; boundary=" .. body.boundary },
  }, opts)
  local response
  local function go() return calls.call(self, "upload_many", request) end
  response, err = loop.guard(go, function() body:close() end)
  body:close()
  if not response then return nil, err end
  local answer = json.decode(response.body)
  local shaped = type(answer) == "table" and (answer.errors ~= nil or response.status == 200)
  if not shaped then
    return nil, failure.from_response(response, http.context_of(connection, request))
  end
  local problem = take_answer(entries, answer)
  fail_rest(results, errors.new {
    kind = response.status == 400 and "invalid" or "protocol", status = response.status, operation = "upload_many",
    message = type(problem) == "string" and problem or "the answer does not mention the file",
  })
  return true
end

local MANY = { timeout = "seconds", idle_timeout = "seconds", on_progress = "callable" }

---Puts many files into the sandbox, in one request. Each item is a source, as
---of `upload`, and the path of the file in the sandbox.
---
---Returns what became of each, in order. When any failed: nil and an error whose
---`results` are that list, in which those that failed have an `error`.
---@param list { [1]: string|file*|{ data: string }|fun(): string?, any, [2]: string }[]
---@param opts? { on_progress?: fun(done: integer, total?: integer), timeout?: number, idle_timeout?: number }
---@return daytona.FileResult[]?
---@return daytona.Error?
function many.upload_many(self, list, opts)
  check_list("upload_many", list)
  opts = options.check("upload_many", MANY, opts)
  local results, entries, single = {}, {}, {}
  for i, item in ipairs(list) do
    if type(item) ~= "table" then errors.misuse(1, "upload_many: item %d is not { source, path }", i) end
    local path = calls.check_path("upload_many: the path of item " .. i, item[2])
    if path:sub(-1) == "/" then errors.misuse(1, "upload_many: the path of item %d names a folder", i) end
    local result = { path = path }
    results[i] = result
    if path:find "^%s" or path:find "%s$" then -- which this call would trim
      single[#single + 1] = { item[1], result }
    else
      local entry, err = entry_of(item[1], path)
      if entry then
        entry.result = result
        entries[#entries + 1] = entry
      else
        result.error = err
      end
    end
  end
  if entries[1] then
    local sent = {}
    for i, entry in ipairs(entries) do sent[i] = entry.result end
    local fine, err = send(self, entries, sent, opts)
    if not fine then return nil, err end
  end
  for _, pair in ipairs(single) do
    local info, err = self:upload(pair[1], pair[2].path, { timeout = opts.timeout, idle_timeout = opts.idle_timeout })
    pair[2].size, pair[2].error = info and info.size, err
  end
  return summary(self, "upload_many", results)
end

--- Downloading --------------------------------------------------------------------------

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
  self.breathe()
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

-- One request. Marks what did not come with the reason; nil, err when nothing did.
-- A `strict` one ends with the first file that cannot be kept.
local function receive(self, entries, opts, strict)
  local paths = {}
  for i, entry in ipairs(entries) do paths[i] = entry.path end
  local receiver = setmetatable({
    entries = entries, sandbox = self.sandbox, turn = 0, done = 0, total = 0, events = {},
    max_bytes = opts.max_bytes or 64 * 1024 * 1024, strict = strict, breathe = localtree.breather(),
  }, Receiver)
  local function go()
    return calls.call(self, "download_many", calls.transfer_fields({
      json = { paths = paths }, lists = { paths = true },
      on_headers = function(transfer) receiver:start(transfer) end,
      sink = function(chunk) return receiver:take(chunk) end,
    }, opts))
  end
  local function discard() receiver:discard() end
  local response, err = loop.guard(go, discard)
  if response then response, err = receiver:complete() end
  discard()
  if receiver.parser then receiver.parser:close() end
  if response then return true end
  if receiver.done == 0 then return nil, err end
  for i = receiver.done + 1, #entries do
    entries[i].result.error = entries[i].result.error or err
  end
  return true
end

-- One file by a call of its own.
local function receive_single(self, entry, opts)
  local result = entry.result
  local limits = { timeout = opts.timeout, idle_timeout = opts.idle_timeout, max_bytes = opts.max_bytes }
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

---Fetches many files from the sandbox, in one request. Each item is a path, the
---content of which becomes `data` (of all together at most `max_bytes`, 64 MiB),
---or a path and a target, as of `download`.
---
---Returns what became of each, in order. When any failed: nil and an error whose
---`results` are that list, in which those that failed have an `error`. When the
---answer is cut, it is those that had not come. A file that grew while it was sent
---is fetched again; when one shrank, what follows it had not come.
---@param list (string|{ [1]: string, [2]: string|file*|fun(chunk: string): any, any })[]
---@param opts? { on_progress?: fun(done: integer, total?: integer), max_bytes?: integer, timeout?: number, idle_timeout?: number }
---@return daytona.FileResult[]?
---@return daytona.Error?
function many.download_many(self, list, opts)
  return many.fetch(self, list, opts, false)
end

-- The same, for trees: with `strict` nothing more is fetched when a file cannot be
-- kept here.
function many.fetch(self, list, opts, strict)
  check_list("download_many", list)
  opts = options.check("download_many", MANY_DOWN, opts)
  local results, entries, single = {}, {}, {}
  for i, item in ipairs(list) do
    local entry = download_entry(i, item)
    results[i] = entry.result
    local group = core.is_utf8(entry.path) and entries or single -- what JSON cannot name
    group[#group + 1] = entry
  end
  if entries[1] then
    local fine, err = receive(self, entries, opts, strict)
    if not fine then return nil, err end
  end
  for _, entry in ipairs(entries) do
    local can_repeat = entry.target == nil or type(entry.target) == "string"
    if entry.changed and can_repeat then
      single[#single + 1] = entry
    elseif entry.changed then
      entry.result.error = errors.new { kind = "conflict", operation = "download_many", what = entry.path,
                                        message = "the file changed while it was sent" }
    end
  end
  for _, entry in ipairs(single) do receive_single(self, entry, opts) end
  return summary(self, "download_many", results)
end

return many
