-- Git in a sandbox: the daemon's own, so that credentials stay out of the
-- sandbox's files and processes.

local errors = require "daytona.errors"
local http = require "daytona.http"
local options = require "daytona.options"
local url = require "daytona.url"

---@class daytona.Git
local Git = {}
Git.__index = Git
Git.__name = "daytona.Git"

function Git:__tostring()
  return "git of " .. tostring(self.sandbox)
end

local M = {}

---@param sandbox daytona.Sandbox
---@return daytona.Git
function M.new(sandbox)
  return setmetatable({ sandbox = sandbox }, Git)
end

-- The daemon sets no limit to a clone; ours, in seconds.
local CLONE_TIMEOUT = 600

local CLONE = {
  branch = "text", commit_id = "text", username = "text", password = "text", depth = "positive",
  insecure_skip_tls = "boolean", timeout = "seconds",
}

-- "https://user:secret@host/x" -> "https://host/x", "user", "secret". A token
-- alone, in the place of the user, is a password of any user.
local function split_credentials(address)
  local scheme, userinfo, rest = address:match("^([Hh][Tt][Tt][Pp][Ss]?://)([^/?#]*)@(.*)$")
  if not scheme then return address end
  local user, password = userinfo:match("^([^:]*):(.*)$")
  user, password = url.unescape(user or userinfo), password and url.unescape(password)
  if user ~= "" and (not password or password == "") then user, password = "git", user end
  return scheme .. rest, user, password
end

local function folder_of(address)
  local name = address:gsub("[/?#]+$", ""):gsub("%.git$", ""):match("([^/:]+)$")
  if not name then errors.misuse(1, "clone: the URL names no folder; pass a path") end
  return name
end

---Clones a repository into the sandbox.
---
---Credentials in the URL are taken out of it and sent apart. Fails with kind
---"auth" when they are missing or refused, "not_found" for a repository or
---branch that is not there, "conflict" when `path` is taken, "unavailable" when
---the remote cannot be reached.
---@param address string  URL of the repository
---@param path? string    where to; the repository's name, in the working directory
---@param opts? { branch?: string, commit_id?: string, username?: string, password?: string, depth?: integer, insecure_skip_tls?: boolean, timeout?: number }
---@return { url: string, path: string }?
---@return daytona.Error?
function Git:clone(address, path, opts)
  options.argument("clone: the URL", "text", address)
  if path ~= nil then options.argument("clone: the path", "text", path) end
  opts = options.check("clone", CLONE, opts)
  if (opts.username == nil) ~= (opts.password == nil) then
    errors.misuse(1, "clone: username and password go together; a token is a password of any user")
  end
  for _, text in ipairs { address, path or "" } do
    if text:find("%c") then errors.misuse(1, "clone: the URL and the path cannot hold control characters") end
  end
  local plain, username, password = split_credentials(address)
  path = path or folder_of(plain)
  local connection, err = self.sandbox:toolbox()
  if not connection then return nil, err end
  local fine
  fine, err = http.request(connection, {
    method = "POST", path = "/git/clone", operation = "clone", what = plain, sandbox = self.sandbox,
    json = {
      url = plain, path = path, branch = opts.branch, commit_id = opts.commit_id, depth = opts.depth,
      username = opts.username or username, password = opts.password or password,
      insecure_skip_tls = opts.insecure_skip_tls,
    },
    timeout = opts.timeout or CLONE_TIMEOUT, secrets = { opts.password or password },
  })
  if not fine then return nil, err end
  return { url = plain, path = path }
end

return M
