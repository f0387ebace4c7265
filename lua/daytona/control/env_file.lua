-- Env files: the DAYTONA_* variables in lines NAME=value.

local quoted = require "daytona.base.quoted"

local M = {}

local ESCAPES = { n = "\n", t = "\t" }

-- The value that is written so; behind one in quotes there may be a comment.
local function unquoted(value)
  if value:sub(1, 1) == '"' then
    local stop = quoted.stop(value, 2, '"')
    local escaped = stop and value:sub(2, stop - 1)
    if escaped and (value:find("^%s*$", stop + 1) or value:find("^%s*#", stop + 1)) then
      return (escaped:gsub("\\(.)", function(c) return ESCAPES[c] or c end))
    end
  end
  return value:match("^'([^']*)'") or value:gsub("%s+#.*$", ""):match("^(.-)%s*$")
end

-- The DAYTONA_* variables of an env file; nil, message when it cannot be read.
local function read_env_file(path)
  local file, why = io.open(path, "r")
  if not file then return nil, why end
  local found = {}
  for line in file:lines() do
    local name, value = line:gsub("\r$", ""):match("^%s*(DAYTONA_[%w_]+)%s*=%s*(.-)%s*$")
    if not name then
      name, value = line:gsub("\r$", ""):match("^%s*export%s+(DAYTONA_[%w_]+)%s*=%s*(.-)%s*$")
    end
    if name then found[name] = unquoted(value) end
  end
  file:close()
  return found
end

---The variables that files say.
---@param env_file true|string  a path; true: .env.local and .env here
---@return table<string, string>?  nil where a file that was named cannot be read
---@return string?
function M.read(env_file)
  if type(env_file) == "string" then return read_env_file(env_file) end
  local found = read_env_file(".env") or {}
  for name, value in pairs(read_env_file(".env.local") or {}) do found[name] = value end
  return found
end

return M
