-- One file, or a part of it, out of the sandbox.

local calls = require "daytona.toolbox.fs.calls"
local errors = require "daytona.base.errors"
local fetch = require "daytona.toolbox.fs.fetch"
local localfile = require "daytona.toolbox.fs.localfile"
local loop = require "daytona.loop"
local options = require "daytona.base.options"
local order = require "daytona.toolbox.order"
local pace = require "daytona.toolbox.fs.pace"

local base_name, check_path, failure = calls.base_name, calls.check_path, calls.failure

local download = {}

-- What an answer with a file says about it.
local function received(response, path, size)
  local kind = response.headers["content-type"]
  return {
    name = base_name(path) or path, path = path, size = size,
    mime_type = kind and kind:match("^%s*([^;%s]+)") or "application/octet-stream",
  }
end

-- So often a file is fetched from its beginning that is another one when it was cut.
local TRIES = 3

-- Fetches the file into a target, of which it is known how it goes on. Where it can only
-- go on from the beginning, the last result is true.
local function into(self, path, target, opts)
  local connection, problem = self.sandbox:toolbox()
  if not connection then return nil, problem end
  local function send(request)
    return calls.api.download(self, { path = path }, request)
  end
  local response, size, announced = fetch.run(connection, send, target, calls.transfer_fields({
    max_bytes = opts.max_bytes,
  }, opts))
  if not response then
    size.what = size.what or path
    return nil, size, announced
  end
  if announced and announced ~= size then
    return failure("download", "connection", string.format("%d of %d bytes arrived", size, announced), path,
      "truncated")
  end
  return received(response, path, size)
end

local function download_to_handle(self, path, file, opts)
  local fine, why = file:flush()
  if not fine then return failure("download", "io", why, path) end
  local info, err = into(self, path, file, opts)
  if not info then return nil, err end
  fine, why = file:flush()
  if not fine then return failure("download", "io", why, path) end
  return info
end

local function download_to_path(self, path, target, opts)
  local clock = pace.new("download", opts.timeout or calls.TRANSFER_TIMEOUT)
  local info, err, anew
  for _ = 1, TRIES do
    info, err = localfile.fill(target, function(file, is_special)
      if is_special then return download_to_handle(self, path, file, opts) end
      local limited = options.copy(opts)
      limited.timeout = clock:left() or 0
      local result, problem
      result, problem, anew = into(self, path, file, limited)
      return result, problem
    end)
    if info or not anew then break end
  end
  if not info then
    if errors.is(err) then return nil, err end
    return failure("download", "io", err, target)
  end
  info.saved_as = target
  return info
end

---A folder is a target under the file's own name, which is what the caller
---asked for, not what the answer says.
---@param path string
---@param target string
---@return string
function download.local_target(path, target)
  if target:sub(-1) ~= "/" and not localfile.is_directory(target) then return target end
  local name = base_name(path)
  if not name then errors.misuse(1, "download: '%s' has no name that a file could get", path) end
  return target:gsub("/+$", "") .. "/" .. name
end

local DOWNLOAD = {
  timeout = "seconds", idle_timeout = "seconds", on_progress = "callable", max_bytes = "positive",
}

---Fetches a file from the sandbox.
---
---The target is a local path (a folder: under its own name), a file open for
---writing, or a function that is given each chunk and may return false and a
---reason to give up. A local file appears whole, or not at all. What is cut goes on where it
---ended if the file is the same (it has the same tag, or size and time); else a local path
---gets the other one from its beginning, and the rest a "conflict", code FILE_CHANGED. A
---client without retries does not go on.
---@param path string
---@param target string|file*|fun(chunk: string): any, any
---@param opts? { on_progress?: fun(done: integer, total?: integer), max_bytes?: integer, timeout?: number, idle_timeout?: number }
---@return { name: string, path: string, size: integer, mime_type: string, saved_as?: string }?
---@return daytona.Error?
function download.download(self, path, target, opts)
  check_path("download: the path", path)
  opts = options.check("download", DOWNLOAD, opts)
  if type(target) == "string" then
    check_path("download: the target", target)
    local info, err = download_to_path(self, path, download.local_target(path, target), opts)
    if not info then
      ---@cast err -nil
      order.hint_if_here(err, errors.is(err, "not_found"), path, "file",
        "the path in the sandbox comes first, then that of this machine")
    end
    return info, err
  elseif io.type(target) == "file" then
    return download_to_handle(self, path, target, opts)
  elseif type(target) == "function" then
    local info, err = into(self, path, target, opts)
    return info, err
  end
  errors.misuse(1, "download: the target must be a path, an open file or a function, got %s", type(target))
end

local READ = {
  offset = "count", length = "positive", max_bytes = "positive", timeout = "seconds", idle_timeout = "seconds",
}

local function range_header(offset, length)
  if not offset and not length then return nil end
  offset = offset or 0
  return { Range = string.format(length and "bytes=%d-%d" or "bytes=%d-", offset, offset + (length or 0) - 1) }
end

-- All of a file, in pieces that are kept when it is cut.
local function in_pieces(self, path, opts, timeout)
  local connection, err = self.sandbox:toolbox()
  if not connection then return nil, err end
  local pieces, limited = {}, options.copy(opts)
  limited.timeout, limited.max_bytes = timeout, opts.max_bytes or connection.max_bytes
  local info
  info, err = into(self, path, function(chunk) pieces[#pieces + 1] = chunk end, limited)
  if not info then return nil, err end
  return { status = 200, body = table.concat(pieces) }
end

-- Seconds that are left of so many, which began then; 0 for no limit.
local function left_of(seconds, begun)
  return seconds > 0 and math.max(seconds - (loop.now() - begun), 0.001) or 0
end

-- The answer with the content. When it is cut, a range is asked for once more.
local function ask(self, path, opts)
  local begun, timeout, clock = loop.now(), opts.timeout or calls.TRANSFER_TIMEOUT, nil
  local headers, tries = range_header(opts.offset, opts.length), 0
  while true do
    local response, err = calls.api.download(self, { path = path }, {
      operation = "read", headers = headers, max_bytes = opts.max_bytes,
      timeout = clock and clock:left() or timeout, idle_timeout = opts.idle_timeout or calls.TRANSFER_IDLE,
    })
    if response then return response end
    local connection = self.sandbox:toolbox()
    tries = tries + 1
    clock = clock or pace.new("read", left_of(timeout, begun))
    if err.code ~= "truncated" or not connection or tries > connection.max_retries then return nil, err end
    timeout = clock:left() or 0
    if not headers then return in_pieces(self, path, opts, timeout) end
    local fine, why = clock:try_again(tries, err)
    if not fine then return nil, why end
  end
end

---The content of a file, or a part of it, as a string; what is beyond its end is
---empty. kind "too_large" above `max_bytes` (64 MiB by default). Files that say they
---have no bytes, as those of /proc do, come empty: `sb:exec{ "cat", path }`. A string is
---made in one go, which takes about a millisecond for every two megabytes: where frames
---count, `download` large files to a function or a file.
---@param path string
---@param opts? { offset?: integer, length?: integer, max_bytes?: integer, timeout?: number, idle_timeout?: number }
---@return string?
---@return daytona.Error?
function download.read(self, path, opts)
  check_path("read: the path", path)
  opts = options.check("read", READ, opts)
  local response, err = ask(self, path, opts)
  if not response then
    if err.status == 416 then return "" end
    return nil, err
  end
  if response.status ~= 206 and (opts.offset or opts.length) then -- the range was not heeded
    local first = (opts.offset or 0) + 1
    return response.body:sub(first, opts.length and first + opts.length - 1 or -1)
  end
  return response.body
end

return download
