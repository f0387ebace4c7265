-- One file, or a part of it, out of the sandbox.

local calls = require "daytona.toolbox.fs.calls"
local errors = require "daytona.base.errors"
local localfile = require "daytona.toolbox.fs.localfile"
local options = require "daytona.base.options"

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

local function counting(sink, counter)
  return function(chunk)
    counter.size = counter.size + #chunk
    return sink(chunk)
  end
end

-- Checks the announced length; a cut body never gets here, an encoded one might.
local function check_size(response, path, size)
  local announced = tonumber(response.headers["content-length"])
  if not announced or announced == size or response.headers["content-encoding"] then
    return received(response, path, size)
  end
  return failure("download", "connection",
    string.format("%d of %d bytes arrived", size, announced), path, "truncated")
end

local function fetch(self, path, request, opts)
  request.with_headers, request.max_bytes = true, opts.max_bytes
  return calls.api.download(self, { path = path }, calls.transfer_fields(request, opts))
end

local function download_to_function(self, path, sink, opts)
  local counter = { size = 0 }
  local response, err = fetch(self, path, { sink = counting(sink, counter) }, opts)
  if not response then return nil, err end
  return check_size(response, path, counter.size)
end

local function download_to_handle(self, path, file, opts)
  file:flush()
  local info, err = download_to_function(self, path, function(chunk)
    local fine, why = file:write(chunk)
    if not fine then return false, errors.new { kind = "io", operation = "download", what = path, message = why } end
  end, opts)
  if not info then return nil, err end
  local fine, why = file:flush()
  if not fine then return failure("download", "io", why, path) end
  return info
end

local function download_to_path(self, path, target, opts)
  local info, err = localfile.fill(target, function(file, is_special)
    local response, problem = fetch(self, path, { sink_file = file }, opts)
    if not response then return nil, problem end
    if is_special then return received(response, path, tonumber(response.headers["content-length"]) or 0) end
    return check_size(response, path, file:seek("end"))
  end)
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
---reason to give up. A local file appears whole, or not at all.
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
    return download_to_path(self, path, download.local_target(path, target), opts)
  elseif io.type(target) == "file" then
    return download_to_handle(self, path, target, opts)
  elseif type(target) == "function" then
    return download_to_function(self, path, target, opts)
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
  local response, err = calls.api.download(self, { path = path }, calls.transfer_fields({
    operation = "read", headers = range_header(opts.offset, opts.length), max_bytes = opts.max_bytes,
  }, opts))
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
