-- Many files into a sandbox in one request.

local body = require "daytona.toolbox.fs.body"
local calls = require "daytona.toolbox.fs.calls"
local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local failure = require "daytona.http.failure"
local http = require "daytona.http"
local long_json = require "daytona.http.long_json"
local loop = require "daytona.loop"
local options = require "daytona.base.options"
local order = require "daytona.toolbox.order"
local pace = require "daytona.toolbox.fs.pace"
local place = require "daytona.toolbox.fs.place"
local random = require "daytona.base.random"
local results = require "daytona.toolbox.fs.results"
local upload = require "daytona.toolbox.fs.upload"

local upload_many = {}

-- What the body says of a source, as a text.
local PROBLEMS = { short = "it is shorter than was said", long = "it is longer than was said", gone = "it is gone" }

-- What is to be sent of one item; nil and why when it cannot be read.
local function entry_of(source)
  if type(source) == "string" then
    local kind, size = core.stat(source)
    if kind == nil then return calls.failure("upload_many", "io", size, source) end
    if kind == "directory" then return calls.failure("upload_many", "io", "Is a directory", source) end
    if kind ~= "file" then size = nil end
    return { path = source, length = size, again = kind == "file" }
  end
  local entry, err = upload.content_of(source)
  if not entry then return nil, err end
  entry.again = entry.data ~= nil
  return entry
end

local function short(entry)
  return errors.new {
    kind = "connection", code = "truncated", operation = "upload_many", what = entry.result.path,
    message = string.format("%d of %d bytes arrived", entry.result.size, entry.length),
  }
end

-- What the daemon says of one file, whose name goes before it.
local function refused(entry, problem)
  local kind, code = calls.problem(problem)
  return errors.new {
    kind = kind or "invalid", code = code, status = 400, operation = "upload_many", what = entry.result.path,
    message = problem:sub(#entry.waiting + 3),
  }
end

-- The daemon's word on each file: its lists are in the order of the parts. An error that
-- is about no file, if there is one; or nil, err.
local function take_answer(entries, answer, clock)
  local files, problems = answer.files, answer.errors
  files, problems = type(files) == "table" and files or {}, type(problems) == "table" and problems or {}
  local f, p = 1, 1
  local fine, err = clock:each(entries, function(entry)
    local result, file, problem = entry.result, files[f], problems[p]
    local is_problem = type(problem) == "string" and problem:sub(1, #entry.waiting + 1) == entry.waiting .. ":"
    if is_problem then
      p = p + 1
      result.error = refused(entry, problem)
    elseif type(file) == "table" and (file.path == entry.waiting or not core.is_utf8(entry.waiting)) then
      f = f + 1
      result.size = type(file.bytes) == "number" and file.bytes or entry.length or 0
      if entry.length and entry.length ~= result.size then result.error = short(entry) end
    end
  end)
  if not fine then return nil, err end
  return problems[p]
end

-- The parts of a request: for each file its path, then its content.
local function body_of(entries)
  local boundary = "daytona-" .. random.hex(16)
  local part = "--" .. boundary .. '\r\nContent-Disposition: form-data; name="files['
  return boundary, body.new(entries, {
    head = function(i)
      return part .. (i - 1) .. '].path"\r\n\r\n' .. entries[i].waiting .. "\r\n" .. part .. (i - 1)
        .. '].file"; filename="file"\r\nContent-Type: application/octet-stream\r\n\r\n'
    end,
    foot = function() return "\r\n" end,
    tail = "--" .. boundary .. "--\r\n",
    fail = function(i, what, why)
      if errors.is(why) then return why end
      return errors.new { kind = "io", code = "source", operation = "upload_many", what = entries[i].result.path,
                          message = tostring(why or PROBLEMS[what]) }
    end,
  })
end

-- Sends all of them to where they wait. true, or nil, err; each may have an error.
local function send(self, entries, sent, opts, clock)
  local connection, err = self.sandbox:toolbox()
  if not connection then return nil, err end
  local boundary, content = body_of(entries)
  local length
  length, err = content:length(clock)
  if err then return nil, err end
  local request = calls.transfer_fields({
    body_source = function() return content:next() end, rewind = function() return content:rewind() end,
    body_length = length, accept = 400,
    headers = { ["Content-Type"] = "multipart/form-data; boundary=" .. boundary },
  }, opts)
  local response
  local function go() return calls.api.upload_many(self, nil, request) end
  response, err = loop.guard(go, function() content:close() end)
  content:close()
  if not response then return nil, err end
  local answer
  answer, err = long_json.decode(response.body, function() return clock:breathe() end)
  if errors.is(err) then return nil, err end
  local shaped = type(answer) == "table" and (answer.errors ~= nil or response.status == 200)
  if not shaped then
    local about = { operation = "upload_many", sandbox = self.sandbox, method = "POST",
                    path = calls.rows.upload_many[2] }
    return nil, failure.from_response(response, http.context_of(connection, about))
  end
  local problem
  problem, err = take_answer(entries, answer, clock)
  if err then return nil, err end
  results.fail_rest(sent, errors.new {
    kind = response.status == 400 and "invalid" or "protocol", status = response.status, operation = "upload_many",
    message = type(problem) == "string" and problem or "the answer does not mention the file",
  })
  return true
end

-- What arrived takes its place; what could not wait in its folder is written there, if its
-- source can be read once more.
local function put(self, entries, waiting, opts, clock)
  local failed = {}
  for _, entry in ipairs(entries) do failed[entry.result.path] = entry.result.error end
  waiting:drop(failed)
  local problems, err = place.put_each(self, "upload_many", waiting, clock)
  if not problems then return nil, err end
  for _, entry in ipairs(entries) do
    local fine
    fine, err = clock:breathe()
    if not fine then return nil, err end
    local result = entry.result
    if not result.error then
      result.error = problems[result.path]
    elseif entry.again and errors.is(result.error, "forbidden") then
      local info = self:upload(entry.path or { data = entry.data }, result.path,
        { timeout = clock:left(), idle_timeout = opts.idle_timeout })
      if info then result.size, result.error = info.size, nil end
    end
    if result.error then result.size = nil end
  end
  return true
end

-- Sends files and puts them in their places. true, or nil, err.
local function send_and_put(self, entries, opts, clock)
  local paths, sent = {}, {}
  for i, entry in ipairs(entries) do paths[i], sent[i] = entry.result.path, entry.result end
  local waiting, problem = place.beside_each(paths, clock)
  if not waiting then return nil, problem end
  local fine, err = clock:each(entries, function(entry) entry.waiting = waiting.places[entry.result.path] end)
  if not fine then return nil, err end
  local function go()
    fine, err = send(self, entries, sent, opts, clock)
    if fine then fine, err = put(self, entries, waiting, opts, clock) end
    return fine, err
  end
  fine, err = loop.guard(go, function() place.discard(self, waiting) end)
  if not fine then place.discard(self, waiting, err) end
  return fine, err
end

-- What becomes of an item, and what is to be sent of it, if it can be.
local function checked(i, item)
  if type(item) ~= "table" then errors.misuse(1, "upload_many: item %d is not { source, path }", i) end
  local path = calls.check_path("upload_many: the path of item " .. i, item[2])
  if path:sub(-1) == "/" then errors.misuse(1, "upload_many: the path of item %d names a folder", i) end
  local entry, err = entry_of(item[1])
  if err then
    order.hint_if_here(err, type(item[1]) == "string" and not core.lstat(item[1]), path, "file",
      "an item is the file of this machine, then its path in the sandbox")
  end
  local result = { path = path, error = err }
  if entry then entry.result = result end
  return result, entry
end

local MANY = { timeout = "seconds", idle_timeout = "seconds", on_progress = "callable" }

---Puts many files into the sandbox, in one request and one command. Each item is a
---source, as of `upload`, and the path of the file in the sandbox. Each file is there
---whole or not at all, as with `upload`.
---
---Returns what became of each, in order. When any failed: nil and an error whose
---`results` are that list, in which those that failed have an `error`.
---@param list { [1]: string|file*|{ data: string }|(fun(): string?, any), [2]: string }[]
---@param opts? { on_progress?: fun(done: integer, total?: integer), timeout?: number, idle_timeout?: number }
---@return daytona.FileResult[]?
---@return daytona.Error?
function upload_many.upload_many(self, list, opts)
  results.check_list("upload_many", list)
  opts = options.check("upload_many", MANY, opts)
  local clock = pace.new("upload_many", opts.timeout or calls.TRANSFER_TIMEOUT, opts.idle_timeout)
  local all, entries = {}, {}
  for i, item in ipairs(list) do
    all[i], entries[#entries + 1] = checked(i, item)
    local fine, err = clock:breathe()
    if not fine then return nil, err end
  end
  if entries[1] then
    local fine, err = send_and_put(self, entries, opts, clock)
    if not fine then return nil, err end
  end
  return results.summary(self, "upload_many", all)
end

return upload_many
