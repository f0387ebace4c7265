--- Runs a helper program, such as git, and collects what it prints on each
-- stream. For programs of the daemon's own choosing: no shell, nothing merged.

local cqueues = require "cqueues"
local condition = require "cqueues.condition"
local ffi = require "ffi"
local environment = require "daytona.devserver.toolbox.environment"
local spawn = require "daytona.devserver.toolbox.spawn"
local sys = require "daytona.devserver.toolbox.sys"

local command = {}

local SIZE = 65536
local buffer = sys.buffer(SIZE)

-- Reads a pipe to its end in a coroutine of its own.
local function collector(fd)
  local self = { chunks = {}, done = false, changed = condition.new() }
  sys.nonblock(fd)
  cqueues.running():wrap(function()
    while true do
      local n, errno = sys.read(fd, buffer, SIZE)
      if n and n > 0 then
        self.chunks[#self.chunks + 1] = ffi.string(buffer, n)
      elseif not n and errno == sys.EAGAIN then
        sys.wait_fd(fd, "r")
      else
        break
      end
    end
    sys.close(fd)
    self.done = true
    self.changed:signal()
  end)
  return self
end

local function text_of(collected)
  while not collected.done do collected.changed:wait() end
  return table.concat(collected.chunks)
end

---@class daytona.devserver.command
---@field argv string[]
---@field envs table<string, string>?  added to the sandbox's
---@field cwd string?
---@field input string?  its standard input; else it is empty

--- Runs a program to its end.
---@param o daytona.devserver.command
---@return integer? exit_code  nil when it could not start
---@return string stdout_or_err
---@return string? stderr
function command.run(o)
  local out_read, out_write = sys.pipe()
  local err_read, err_write = sys.pipe()
  local in_read, in_write
  if o.input then in_read, in_write = sys.pipe() end
  local child, err = spawn.start {
    argv = o.argv, env = environment.list(o.envs), cwd = o.cwd,
    stdin = in_read, stdout = out_write, stderr = err_write,
  }
  sys.close(out_write)
  sys.close(err_write)
  if in_read then sys.close(in_read) end
  local out, errors = collector(out_read), collector(err_read)
  if in_write then
    if child then
      sys.nonblock(in_write)
      sys.feed(in_write, o.input)
    end
    sys.close(in_write)
  end
  if not child then return nil, err end
  local exit_code = child:wait()
  return exit_code, text_of(out), text_of(errors)
end

return command
