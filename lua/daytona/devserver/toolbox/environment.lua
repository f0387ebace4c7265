--- The environment that programs in the sandbox start with, and the shell they
-- are given. One table for the whole daemon, changed by `POST /env`.

local stdlib = require "posix.stdlib"
local fields = require "daytona.devserver.toolbox.fields"
local failures = require "daytona.devserver.toolbox.failures"

local environment = {}

local base, shells = {}, "/etc/shells"

-- Programs are looked for by the daemon, with its own PATH.
local function apply_path()
  stdlib.setenv("PATH", base.PATH or "/usr/local/bin:/usr/bin:/bin")
end

--- Sets the environment the sandbox was created with, and where its shells are
-- listed (/etc/shells).
---@param variables table<string, string>
---@param shells_file string?
function environment.init(variables, shells_file)
  base, shells = variables, shells_file or shells
  apply_path()
end

--- "NAME=value" for a new process: the sandbox's environment, then `more`.
---@param more table<string, string>?
---@return string[]
function environment.list(more)
  local list = {}
  for name, value in pairs(base) do
    if not (more and more[name]) then
      list[#list + 1] = name .. "=" .. value
    end
  end
  for name, value in pairs(more or {}) do
    list[#list + 1] = name .. "=" .. value
  end
  return list
end

--- Sets or removes (nil) one variable of the sandbox.
function environment.set(name, value)
  base[name] = value
end

--- One variable of the sandbox.
function environment.get(name)
  return base[name]
end

--- Refuses names that a shell could not have set, and values with a NUL.
---@param variables table<string, string>?
function environment.check(variables)
  for name, value in pairs(variables or {}) do
    if not name:match "^[%a_][%w_]*$" then
      failures.raise(400, "invalid environment variable name: '" .. name .. "'")
    elseif value:find("\0", 1, true) then
      failures.raise(400, "invalid environment variable value of '" .. name .. "'")
    end
  end
end

local PREFERRED = { "/usr/bin/zsh", "/bin/zsh", "/usr/bin/bash", "/bin/bash" }

--- The shell for a command: zsh or bash where /etc/shells lists one, else $SHELL.
---@return string
function environment.shell()
  local listed = {}
  local file = io.open(shells)
  if file then
    for line in file:lines() do
      listed[line:match "^%s*([^#%s]*)"] = true
    end
    file:close()
  end
  for _, path in ipairs(PREFERRED) do
    if listed[path] then
      return path
    end
  end
  local own = base.SHELL
  return own and own ~= "" and own or "sh"
end

--- POST /env: variables for processes started from now on.
function environment.update(req)
  local f = fields.read(req, { set = "map", unset = "strings", unsetValuePrefix = "string" })
  local set = f.set or {}
  environment.check(set)
  local prefix = f.unsetValuePrefix
  if prefix and prefix ~= "" then
    for name, value in pairs(base) do
      if set[name] == nil and value:sub(1, #prefix) == prefix then
        base[name] = nil
      end
    end
  end
  for _, name in ipairs(f.unset or {}) do
    base[name] = nil
  end
  for name, value in pairs(set) do
    base[name] = value
  end
  apply_path()
  return 200, { message = "environment updated" }
end

return environment
