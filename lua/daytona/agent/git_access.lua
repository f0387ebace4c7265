-- Credentials for git in a sandbox: handed to git's own cache there, by standard input, so
-- that they are in no command line, no file and no configuration. They last until the
-- sandbox stops.

local shell = require "daytona.base.shell"
local url = require "daytona.http.url"

local M = {}

local GITHUB = "github.com"

-- Seconds that git keeps them: a month.
local APPROVE = "git config --global credential.helper 'cache --timeout=2592000' && exec git credential approve"

---Gives credentials to git in a sandbox.
---@param sandbox daytona.Sandbox
---@param one { host: string, protocol: string, username: string, token: string }
---@return true?
---@return any why
function M.approve(sandbox, one)
  for name, text in pairs(one) do
    if text:find "[\r\n%z]" then return nil, name .. " must be one line" end
  end
  local text = ("protocol=%s\nhost=%s\nusername=%s\npassword=%s\n\n"):format(
    one.protocol, one.host, one.username, one.token)
  local result, err = sandbox:exec(APPROVE, { stdin = text, timeout = 30 })
  if not result then return nil, err end
  if result.exit_code ~= 0 then return nil, "git could not take the credentials: " .. result.result end
  return true
end

---The address of a repository: "user/repo" is one at GitHub. With it, the credentials
---that stood in it.
---@param text string
---@return string? address
---@return table|string|nil credentials  or why it is none
function M.address(text)
  if text:find "^[%w._-]+/[%w._-]+$" then
    return ("https://%s/%s.git"):format(GITHUB, (text:gsub("%.git$", "")))
  end
  local parts = text:find "^https?://" and url.parse(text)
  if not parts then
    if text:find "^%a[%w+.-]*://" or text:find "^/" or text:find "^[%w._-]+@[%w.-]+:" then return text end
    return nil, "it is neither an address nor user/repo: " .. text
  end
  local plain = text:gsub("^(https?://)[^/@]*@", "%1")
  if not parts.userinfo then return plain end
  local username, token = parts.userinfo:match "^([^:]*):?(.*)$"
  if token == "" then username, token = "x-access-token", username end
  return plain, { protocol = text:match "^(https?)", host = plain:match "^https?://([^/?#]+)",
    username = url.unescape(username), token = url.unescape(token) }
end

---Whether an address is one of GitHub's.
---@param address string
---@return boolean
function M.is_github(address)
  return address:find("^https://" .. GITHUB:gsub("%.", "%%.") .. "/") ~= nil
end

---What the session's connected GitHub account gives, or nil.
---@param secrets? table<string, string>
---@return table?
function M.connected(secrets)
  local token = secrets and secrets.GITHUB_TOKEN
  if not token then return nil end
  return { protocol = "https", host = GITHUB, username = secrets.GITHUB_USERNAME or "x-access-token", token = token }
end

---Clones; with what git has been given before. Where to, or nil and why.
---@param sandbox daytona.Sandbox
---@param address string
---@param path? string
---@param branch? string
---@return string?
---@return any why
function M.clone(sandbox, address, path, branch)
  path = path or address:gsub("/+$", ""):match "([^/:]+)$":gsub("%.git$", "")
  local words = { "git", "clone", "-q" }
  if branch then words[#words + 1] = "--branch=" .. branch end
  for _, word in ipairs { "--", address, path } do words[#words + 1] = word end
  local result, err = sandbox:exec(shell.join(words) .. " 2>&1", { timeout = 600,
    env = { GIT_TERMINAL_PROMPT = "0", GIT_ASKPASS = "true" } })
  if not result then return nil, err end
  if result.timed_out then return nil, "the clone took more than 10 minutes" end
  if result.exit_code ~= 0 then return nil, "git: " .. result.result:gsub("%s+$", "") end
  return path
end

return M
