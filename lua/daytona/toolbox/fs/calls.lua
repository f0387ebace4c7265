-- What the files of this folder make their calls with: the daemon's endpoints about
-- files, the checks of what is passed, the meaning of what a failure says.

local daemon_calls = require "daytona.toolbox.calls"
local errors = require "daytona.base.errors"
local http = require "daytona.http"
local options = require "daytona.base.options"
local shell = require "daytona.base.shell"

local calls = {}

---How the names begin under which files wait over there until they are whole.
calls.STAGING = ".daytona-sync-"

local function is_size(value)
  return type(value) == "number" and value >= 0 and value % 1 == 0 and value < 2 ^ 53
end

-- The `flaw` of an answer about one file, and of a list of them.
local function info_flaw(raw)
  if type(raw) ~= "table" or type(raw.name) ~= "string" or not is_size(raw.size) then
    return "not about a file"
  end
end

-- A name in a directory is one: whoever saves what is listed under it relies on that.
local function list_flaw(list)
  for i = 1, #list do
    if info_flaw(list[i]) then return "no list of files" end
    local name = list[i].name
    if name == "" or name == "." or name == ".." or name:find("[/%z]") then return "a list of what are no names" end
  end
end

local function matches_flaw(list)
  for i = 1, #list do
    local match = list[i]
    if type(match) ~= "table" or type(match.file) ~= "string" or type(match.line) ~= "number"
      or type(match.content) ~= "string" then return "no list of lines" end
  end
end

local function names_flaw(raw)
  local files = raw.files or {}
  if type(files) ~= "table" then return "no list of names" end
  for i = 1, #files do
    if type(files[i]) ~= "string" then return "no list of names" end
  end
end

local function outcomes_flaw(list)
  for i = 1, #list do
    if type(list[i]) ~= "table" then return "no list of outcomes" end
  end
end

-- The same of an upload's; old daemons say nothing about the files.
local function upload_flaw(raw)
  local files = raw.files or {}
  local first = type(files) == "table" and (files[1] or {})
  if type(first) ~= "table" or not is_size(first.bytes or 0) then return "no list of files" end
end

-- The daemon's calls: method, path, what comes back.
local CALLS = {
  list      = { "GET",    "/files",             "list",   flaw = list_flaw },
  stat      = { "GET",    "/files/info",        "object", flaw = info_flaw },
  mkdir     = { "POST",   "/files/folder",      safe = true },
  remove    = { "DELETE", "/files" },
  move      = { "POST",   "/files/move" },
  chmod     = { "POST",   "/files/permissions", safe = true },
  read      = { "GET",    "/files/download" },
  download  = { "GET",    "/files/download" },
  upload    = { "POST",   "/files/bulk-upload", "object", flaw = upload_flaw },
  upload_many   = { "POST", "/files/bulk-upload" },
  download_many = { "POST", "/files/bulk-download", safe = true },
  grep      = { "GET",    "/files/find",        "list",   flaw = matches_flaw },
  glob      = { "GET",    "/files/search",      "object", flaw = names_flaw },
  replace   = { "POST",   "/files/replace",     "list",   flaw = outcomes_flaw },
}

---Makes one of these calls: the response, or nil and an error.
---@param self daytona.FileSystem
---@param operation string
---@param request table  further fields of the request
---@return table?
---@return daytona.Error?
function calls.call(self, operation, request)
  local connection, err = self.sandbox:toolbox()
  if not connection then return nil, err end
  local spec = CALLS[operation]
  request.method, request.path, request.answer, request.safe = spec[1], spec[2], spec[3], spec.safe
  request.flaw = spec.flaw
  request.operation = request.operation or operation
  request.sandbox = self.sandbox
  local response
  response, err = http.request(connection, request)
  if not response then return nil, daemon_calls.explain(err) end
  return response
end

---@param what string  for the error
---@param path any
---@return string
function calls.check_path(what, path)
  options.argument(what, "text", path)
  if path:find("\0", 1, true) then errors.misuse(1, "%s holds a NUL byte", what) end
  return path
end

---nil and an error of ours.
function calls.failure(operation, kind, message, path, code)
  return nil, errors.new { kind = kind, code = code, operation = operation, message = message, what = path }
end

-- What the daemon, or a program over there, says of a file that could not be
-- changed: text, kind, code.
local PROBLEMS = {
  { "no space left on device", "io", "FILE_NO_SPACE" },
  { "quota exceeded", "io", "FILE_NO_SPACE" },
  { "permission denied", "forbidden" },
  { "read-only file system", "forbidden" },
}

---The kind of that, and its code; nil where the text says nothing we know.
---@param text string
---@return string?
---@return string?
function calls.problem(text)
  text = text:lower()
  for _, row in ipairs(PROBLEMS) do
    if text:find(row[1], 1, true) then return row[2], row[3] end
  end
end

---A path as a word for a shell, which no program takes for anything else.
---@param path string
---@return string
function calls.quoted(path)
  if not path:find("^/") then path = "./" .. path end
  return shell.quote(path)
end

---"b" of "a/b" and "a/b/"; nil where there is none to be used.
---@param path string
---@return string?
function calls.base_name(path)
  local name = path:match("([^/]+)/*$")
  if name == "." or name == ".." then return nil end
  return name
end

-- Seconds a transfer may take, and may stand still.
calls.TRANSFER_TIMEOUT = 1800
local TRANSFER_IDLE = 60

---Adds what every transfer takes from the caller's options.
function calls.transfer_fields(request, opts)
  request.timeout = opts.timeout or calls.TRANSFER_TIMEOUT
  request.idle_timeout = opts.idle_timeout or TRANSFER_IDLE
  request.on_progress = opts.on_progress
  return request
end

return calls
