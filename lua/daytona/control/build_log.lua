-- The log of how the image of a sandbox or a snapshot was built: read once, or followed
-- line by line while that is made. It looks at no state itself: whoever follows waits for
-- the sandbox, too, and says when that is over, because the service leaves the log of
-- a failed build open.

local calls = require "daytona.control.calls"
local errors = require "daytona.base.errors"
local http = require "daytona.http"
local line_buffer = require "daytona.base.line_buffer"
local loop = require "daytona.loop"
local options = require "daytona.base.options"
local task = require "daytona.loop.task"

local M = {}

-- A log that is silent for so long is asked for again; between tries; and what
-- its last reading may take, seconds. How often that is tried.
local SILENCE, FIRST_DELAY, LONGEST_DELAY, GROWTH, LAST, TRIES = 30, 0.1, 2, 1.5, 10, 3

local api = calls.of_service {
  sandbox  = { "GET", "/sandbox/{sandbox}/build-logs-url", "object", operation = "build_logs" },
  snapshot = { "GET", "/snapshots/{snapshot}/build-logs-url", "object", operation = "build_logs" },
}

local function is_snapshot(of)
  return getmetatable(of).__name == "daytona.Snapshot"
end

-- Sends a request for the log itself.
local function fetch(of, connection, request)
  request.operation = "build_logs"
  if is_snapshot(of) then request.what = of.name else request.sandbox = of end
  return http.request(connection, request)
end

-- Where the log of a sandbox or a snapshot is, and the way there, which carries the key.
local function address(of, timeout)
  local connection = of.client:connection_of "build_logs"
  local ask = is_snapshot(of) and api.snapshot or api.sandbox
  local answer, err = ask(of, nil, { timeout = timeout })
  if not answer then return nil, err end
  local fine
  fine, err = of.client:check_address(answer.url, of.id)
  if not fine then return nil, err end
  return connection, answer.url
end

local function with_follow(target, follow)
  return target .. (target:find("?", 1, true) and "&" or "?") .. "follow=" .. tostring(follow)
end

-- Following ----------------------------------------------------------------------------

---@class daytona.BuildLog
---@field of daytona.Sandbox|daytona.Snapshot
---@field on_line fun(line: string)
---@field seen integer  bytes that were handed on; a new try begins at the first
---@field buffer daytona.LineBuffer
---@field telling boolean  `on_line` is at work, which must not be cancelled
---@field over boolean     the build is
local BuildLog = {}
BuildLog.__index = BuildLog

local function hand_on(self)
  local line = self.buffer:line()
  self.telling = true
  while line do
    self.on_line((line:gsub("\r?\n$", "")))
    line = self.buffer:line()
  end
  self.telling = false
end

-- Reads the log from its beginning and hands on what is new. true, or nil, err.
local function read(self, follow, timeout)
  local connection, target = address(self.of, timeout)
  if not connection then return nil, target end
  local at = 0
  local response, err = fetch(self.of, connection, {
    url = with_follow(target, follow), timeout = timeout,
    idle_timeout = follow and SILENCE or nil,
    sink = function(chunk)
      local new = chunk:sub(math.max(self.seen - at, 0) + 1)
      at = at + #chunk
      self.seen = math.max(self.seen, at)
      self.buffer:push(new)
      hand_on(self)
      return not (follow and self.over)
    end,
  })
  return response and true, err
end

-- That there is no log yet is how it begins, and a broken connection is no reason to
-- stop: only being told so is.
local function follow(self)
  local delay = FIRST_DELAY
  while true do
    local before = self.seen
    local fine, err = read(self, true, 0)
    if self.over or not fine and errors.is(err, "canceled") then return false end
    delay = self.seen > before and FIRST_DELAY or math.min(delay * GROWTH, LONGEST_DELAY)
    if not loop.sleep(delay) then return false end
  end
end

---Begins to follow, beside whatever else the caller does: each line goes to
---`on_line`, without its end.
---@param of daytona.Sandbox|daytona.Snapshot
---@param on_line fun(line: string)
---@return daytona.BuildLog
function M.follow(of, on_line)
  local self = setmetatable({
    of = of, on_line = on_line, seen = 0, buffer = line_buffer.new(), telling = false, over = false,
  }, BuildLog)
  self.task = task.spawn(follow, self)
  return self
end

---Stops following.
function BuildLog:stop()
  self.task:cancel()
end

-- What cannot be had of a log is no failure of what it tells about.
local function read_rest(self)
  for try = 1, TRIES do
    if read(self, false, LAST) or try < TRIES and not loop.sleep(FIRST_DELAY) then break end
  end
  local rest = self.buffer:take(math.huge)
  if rest then self.on_line(rest) end
  return true
end

---Stops following, once the build is over: hands on the rest. true, or false and what
---`on_line` raised: it runs in tasks of its own, where every Lua catches that.
---@return boolean
---@return any
function BuildLog:finish()
  self.over = true
  if not self.telling then self.task:cancel() end
  local fine, err = self.task:wait()
  if fine ~= nil then fine, err = task.spawn(read_rest, self):wait() end
  if fine ~= nil or errors.is(err, "canceled") then return true end
  return false, err.cause ~= nil and err.cause or err
end

-- Reading ------------------------------------------------------------------------------

local READ = { timeout = "seconds", max_bytes = "positive" }

---How a sandbox's image or a snapshot was built, as far as it is: the builder's log as
---text. Kind "not_found" for what was not built.
---@param self daytona.Sandbox|daytona.Snapshot
---@param opts? { timeout?: number, max_bytes?: integer }
---@return string?
---@return daytona.Error?
function M.build_logs(self, opts)
  opts = options.check("build_logs", READ, opts)
  local connection, target = address(self, opts.timeout)
  if not connection then return nil, target end
  local response, err = fetch(self, connection, {
    url = with_follow(target, false), timeout = opts.timeout,
    max_bytes = opts.max_bytes,
  })
  if not response then return nil, err end
  return response.body
end

return M
