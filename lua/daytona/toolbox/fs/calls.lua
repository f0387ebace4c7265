-- What the files of this folder make their calls with: the daemon's endpoints about
-- files, the checks of what is passed, the meaning of what a failure says.

local daemon_calls = require "daytona.toolbox.calls"
local errors = require "daytona.base.errors"
local json = require "daytona.http.json"
local options = require "daytona.base.options"
local shell = require "daytona.base.shell"

local calls = {}

---How the names begin under which files wait over there until they are whole.
calls.STAGING = ".daytona-sync-"

local function is_size(value)
  return type(value) == "number" and value >= 0 and value % 1 == 0 and value < 2 ^ 53
end

-- What answers about files, names and lines are instead.

local function info_flaw(info)
  if type(info) ~= "table" or type(info.name) ~= "string" or not is_size(info.size) then
    return "not about a file"
  end
end

-- A name in a directory is one: whoever saves what is listed under it relies on that.
local function entry_flaw(info)
  if info_flaw(info) then return "no list of files" end
  local name = info.name
  if name == "" or name == "." or name == ".." or name:find("[/%z]") then return "a list of what are no names" end
end

local function match_flaw(match)
  if type(match) ~= "table" or type(match.file) ~= "string" or type(match.line) ~= "number"
    or type(match.content) ~= "string" then return "no list of lines" end
end

local function names_flaw(answer)
  local files = answer.files or {}
  if type(files) ~= "table" then return "no list of names" end
  for i = 1, #files do
    if type(files[i]) ~= "string" then return "no list of names" end
  end
end

local function outcome_flaw(outcome)
  if type(outcome) ~= "table" then return "no list of outcomes" end
end

-- Old daemons say nothing about the files.
local function upload_flaw(answer)
  local files = answer.files or {}
  local first = type(files) == "table" and (files[1] or {})
  if type(first) ~= "table" or not is_size(first.bytes or 0) then return "no list of files" end
end

---A path, as an argument: text without NUL.
---@param value any
---@return boolean
---@return string
function calls.path(value)
  return type(value) == "string" and value ~= "" and not value:find("%z"), "a path: text without NUL bytes"
end

local is_path = calls.path
local PATH = { "path", is_path }

local function is_mode(value)
  return type(value) == "string" and value:find("^[0-7][0-7][0-7][0-7]?$") ~= nil, 'octal digits, as "0755"'
end

calls.is_mode = is_mode

-- Only "true" counts over there.
local function prepare_remove(values) values.recursive = values.recursive or nil end

local function prepare_mkdir(values) values.mode = values.mode or "0755" end

local function with_path(info, _, values)
  info.path = info.path or values.path
  return info
end

-- From one file system to another it is a copy, and then a removal, which may fail.
local function moved(said, self, values)
  local answer = json.decode(said)
  if type(answer) ~= "table" or not answer.error then return true end
  local text = tostring(answer.error)
  local kind, code = calls.problem(text)
  local _, err = calls.failure("move", kind or "server", "copied, but still there: " .. text, values.source, code)
  err.sandbox = self.sandbox
  return nil, err
end

local function not_moved(err, self, values)
  if err.kind == "not_found" then
    require "daytona.toolbox.order".hint_if_there(self.sandbox, err, values.destination,
      "there is one at the destination: the old path comes first, then the new one")
  end
  return err
end

-- Files go by this, one or many; it trims their names.
local BULK_UPLOAD = "/files/bulk-upload"

calls.rows = {
  list = { "GET", "/files", "list", what = "path", item_flaw = entry_flaw },
  stat = { "GET", "/files/info", "object", what = "path", args = { PATH }, flaw = info_flaw, refine = with_path },
  mkdir = { "POST", "/files/folder", query = { "path", "mode" }, what = "path", safe = true, args = { PATH },
            options = { mode = is_mode }, prepare = prepare_mkdir },
  remove = { "DELETE", "/files", what = "path", args = { PATH }, options = { recursive = "boolean" },
             prepare = prepare_remove },
  move = { "POST", "/files/move", "text", query = { "source", "destination" }, what = "source",
           args = { { "source", is_path }, { "destination", is_path } }, refine = moved, explain = not_moved },
  chmod = { "POST", "/files/permissions", query = { "path", "mode", "owner", "group" }, what = "path", safe = true },
  download = { "GET", "/files/download", "response", what = "path" },
  download_many = { "POST", "/files/bulk-download", lists = { "paths" }, safe = true },
  upload = { "POST", BULK_UPLOAD, "object", flaw = upload_flaw },
  upload_many = { "POST", BULK_UPLOAD, "response" },
  -- For URLs that others use (control/preview.lua).
  upload_v2 = { "POST", "/files/upload-v2", query = { "path" } },
  grep = { "GET", "/files/find", "list", what = "path", item_flaw = match_flaw },
  glob = { "GET", "/files/search", "object", what = "path", flaw = names_flaw },
  replace = { "POST", "/files/replace", "list", item_flaw = outcome_flaw },
}

calls.api = daemon_calls.of_daemon(calls.rows)

---@param what string  for the error
---@param path any
---@return string
function calls.check_path(what, path)
  return options.argument(what, is_path, path)
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
calls.TRANSFER_TIMEOUT, calls.TRANSFER_IDLE = 1800, 60

---Adds what every transfer takes from the caller's options.
function calls.transfer_fields(request, opts)
  request.timeout = opts.timeout or calls.TRANSFER_TIMEOUT
  request.idle_timeout = opts.idle_timeout or calls.TRANSFER_IDLE
  request.on_progress = opts.on_progress
  return request
end

return calls
