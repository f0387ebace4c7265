-- Looking into files and through their names, and changing texts in them.

local errors = require "daytona.base.errors"
local calls = require "daytona.toolbox.fs.calls"
local loop = require "daytona.loop"
local options = require "daytona.base.options"
local order = require "daytona.toolbox.order"
local pace = require "daytona.toolbox.fs.pace"

local search = {}

local function check_pattern(operation, pattern)
  options.argument(operation .. ": the pattern", "text", pattern)
  if pattern:find("%z") then errors.misuse(1, "%s: the pattern holds a NUL byte", operation) end
end

-- The daemon finds nothing where there is nothing, and does not say so.
local function check_there(self, operation, path, pattern)
  local info, err = self:stat(path)
  if info then return true end
  err.operation = operation
  order.hint_if_there(self.sandbox, err, pattern, operation .. ": the path comes first, then what is looked for")
  return nil, err
end

---The lines that hold a text, in a file or in all files of a folder. The text is
---no pattern: it is found as it stands. Binary files are left out; a line of more
---than 64 KiB ends the search of its file.
---@param path string
---@param text string
---@return { file: string, line: integer, content: string }[]?
---@return daytona.Error?
function search.grep(self, path, text)
  calls.check_path("grep: the path", path)
  check_pattern("grep", text)
  local found, err = calls.api.grep(self, { path = path, pattern = text })
  if not found then return nil, err end
  if found[1] then return found end
  local there
  there, err = check_there(self, "grep", path, text)
  if not there then return nil, err end
  return found
end

---The paths of files and folders, at `path` and below, whose own name a shell's
---pattern (`*`, `?`, `[a-z]`) matches; in order.
---@param path string
---@param pattern string
---@return string[]?
---@return daytona.Error?
function search.glob(self, path, pattern)
  calls.check_path("glob: the path", path)
  check_pattern("glob", pattern)
  local answer, err = calls.api.glob(self, { path = path, pattern = pattern })
  if not answer then return nil, err end
  local files
  files, err = pace.new("glob"):sorted(answer.files or {})
  if not files then return nil, err end
  if files[1] then return files end
  local there
  there, err = check_there(self, "glob", path, pattern)
  if not there then return nil, err end
  return files
end

---Replaces a text, as it stands, wherever it is in these files.
---
---Returns what became of each, in order. When any failed: nil and an error whose
---`results` are that list, in which those that failed have an `error`.
---@param files string|string[]
---@param text string
---@param new string  may be empty
---@return { path: string, error?: daytona.Error }[]?
---@return daytona.Error?
function search.replace(self, files, text, new)
  if type(files) == "string" then files = { files } end
  options.argument("replace: the files", "list", files)
  for i = 1, #files do calls.check_path("replace: a path", files[i]) end
  check_pattern("replace", text)
  options.argument("replace: the new text", "string", new)
  if not files[1] then return {} end
  local outcomes, err = calls.api.replace(self, { files = files, pattern = text, new_value = new },
    { what = files[1] })
  if not outcomes then return nil, err end
  local results, first = {}, nil
  for i, path in ipairs(files) do
    local said = outcomes[i] or { error = "the answer does not mention the file" }
    results[i] = { path = path }
    if said.success ~= true then
      local message = tostring(said.error)
      local kind, code = calls.problem(message)
      if message:find("no such file", 1, true) then kind = "not_found" end
      results[i].error = errors.new {
        kind = kind or "invalid", code = code, operation = "replace", what = path, sandbox = self.sandbox,
        message = message,
      }
      first = first or results[i].error
    end
  end
  if not first then return results end
  local failed = errors.new {
    kind = first.kind, operation = "replace", what = first.what, sandbox = self.sandbox, cause = first,
    results = results, message = first.message,
  }
  order.hint_if_there(self.sandbox, failed, new,
    "the files come first, then the text that is looked for, then the new one")
  return nil, failed
end

--- The end of a file ----------------------------------------------------------------------

-- Bytes behind a place (or, below 0, the last so many), and the size of the file.
local function read_from(self, path, offset)
  local range = offset < 0 and ("bytes=%d"):format(offset) or ("bytes=%d-"):format(offset)
  local response, err = calls.api.download(self, { path = path },
    { headers = { Range = range }, with_headers = true, operation = "tail" })
  if not response then
    if err.status ~= 416 then return nil, err end
    local size = tonumber((err.headers["content-range"] or ""):match("/(%d+)$")) or 0
    return "", size
  end
  local size = tonumber((response.headers["content-range"] or ""):match("/(%d+)$"))
  if size then return response.body, size end
  size = #response.body -- the range was not heeded
  if offset < 0 then return response.body:sub(offset), size end
  return response.body:sub(offset + 1), size
end

-- Where the last `count` lines of a text begin; nil when it may hold fewer.
local function last_lines(text, count)
  local starts, at = { 1 }, 0
  while true do
    at = text:find("\n", at + 1, true)
    if not at or at == #text then break end
    starts[#starts + 1] = at + 1
    loop.breathe()
  end
  return #starts > count and starts[#starts - count + 1] or nil
end

local function end_of(self, path, opts)
  if opts.bytes == 0 or opts.lines == 0 then
    local _, size = read_from(self, path, -1)
    if not _ then return nil, size end
    return "", size
  end
  if opts.bytes then return read_from(self, path, -opts.bytes) end
  local wanted = 16 * 1024
  while true do
    local text, size = read_from(self, path, -wanted)
    if not text then return nil, size end
    local start = last_lines(text, opts.lines or 10)
    if start then return text:sub(start), size end
    if #text >= size then return text, size end
    wanted = wanted * 4
  end
end

local FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2

-- Hands over what is added from `at` on, until that is not wanted any more.
local function follow(self, path, at, fn)
  local delay = FIRST_PAUSE
  while true do
    local slept, err = loop.sleep(delay)
    if not slept then return nil, err end
    local text, size = read_from(self, path, at)
    if not text then return nil, size end
    if text == "" and size < at then at = 0 end -- it was written anew
    delay = text == "" and math.min(delay * 1.5, LONGEST_PAUSE) or FIRST_PAUSE
    at = at + #text
    if text ~= "" and fn(text) == false then return true end
  end
end

---The end of a file: its last 10 lines, or so many `lines` or `bytes`.
---
---With `follow` they are given to that function, and then whatever is added, as it
---is noticed: the file is asked for after 0.1 seconds, and ever less often, up to
---every 2, while nothing comes. A file that became shorter is taken from its
---beginning. It ends, returning true, when the function returns false.
---@param path string
---@param opts? { lines?: integer, bytes?: integer, follow?: fun(text: string): any }
---@return string|true|nil
---@return daytona.Error?
function search.tail(self, path, opts)
  calls.check_path("tail: the path", path)
  opts = options.check("tail", { lines = "count", bytes = "count", follow = "callable" }, opts)
  if opts.lines and opts.bytes then errors.misuse(1, "tail: lines or bytes, not both") end
  local text, size = end_of(self, path, opts)
  if not text then return nil, size end
  if not opts.follow then return text end
  if text ~= "" and opts.follow(text) == false then return true end
  return follow(self, path, size, opts.follow)
end

return search
