--- Runs the sandbox's git program for the git calls (git_calls.lua), and turns
-- what it complains about into the service's failures. Credentials reach it in
-- its environment only, through a credential helper given on the command line:
-- no argument, no file and no message ever holds them.

local command = require "daytona.devserver.toolbox.command"
local environment = require "daytona.devserver.toolbox.environment"
local failures = require "daytona.devserver.toolbox.failures"
local git_library = require "daytona.devserver.toolbox.git_library"
local sys = require "daytona.devserver.toolbox.sys"
local text = require "daytona.devserver.toolbox.text"

local git = {}

-- An old daemon uses a library, which has words of its own.
git.legacy = false

local HELPER = '!f() { test "$1" = get || exit 0; '
  .. 'echo "username=$DAYTONA_GIT_USERNAME"; echo "password=$DAYTONA_GIT_PASSWORD"; }; f'

--- Whether a field was given and is not empty.
function git.given(value)
  return value ~= nil and value ~= ""
end

---@class daytona.devserver.git_options
---@field path string?  the repository
---@field username string?  credentials count only when both are there
---@field password string?
---@field insecure boolean?  no check of TLS certificates
---@field input string?  standard input
---@field envs table<string, string>?

--- Runs git with these arguments. Ends the request when there is no git.
---@param o daytona.devserver.git_options
---@return integer exit_code
---@return string stdout
---@return string stderr
function git.run(o, ...)
  local argv = { "git", "-c", "safe.directory=*" }
  local function add(...)
    for _, argument in ipairs { ... } do argv[#argv + 1] = argument end
  end
  local envs = {
    GIT_TERMINAL_PROMPT = "0", LC_ALL = "C", GIT_ASKPASS = "true", SSH_ASKPASS = "true",
    GIT_SSH_COMMAND = environment.get "GIT_SSH_COMMAND" or "ssh -o BatchMode=yes",
  }
  for name, value in pairs(o.envs or {}) do envs[name] = value end
  if git.given(o.username) and git.given(o.password) then
    add("-c", "credential.helper=", "-c", "credential.helper=" .. HELPER)
    envs.DAYTONA_GIT_USERNAME, envs.DAYTONA_GIT_PASSWORD = o.username, o.password
  end
  if o.insecure then add("-c", "http.sslVerify=false") end
  if o.path then add("-C", o.path) end
  add(...)
  local code, out, err = command.run { argv = argv, envs = envs, input = o.input }
  if not code then
    failures.raise(500, "git is not available: " .. out)
  end
  return code, out, err
end

-- What git says, as a failure: { text to find, status, code or nil }.
local MEANINGS = {
  { "Authentication failed", 401, "GIT_AUTH_FAILED" },
  { "could not read Username", 401, "GIT_AUTH_FAILED" },
  { "could not read Password", 401, "GIT_AUTH_FAILED" },
  { "terminal prompts disabled", 401, "GIT_AUTH_FAILED" },
  { "Access denied", 401, "GIT_AUTH_FAILED" },
  { "Permission denied (publickey", 401, "GIT_AUTH_FAILED" },
  { "returned error: 401", 401, "GIT_AUTH_FAILED" },
  { "returned error: 403", 403 },
  { "Remote branch", 404, "GIT_BRANCH_NOT_FOUND" },
  { "couldn't find remote ref", 404, "GIT_BRANCH_NOT_FOUND" },
  { "Repository not found", 404, "GIT_REPO_NOT_FOUND" },
  { "does not appear to be a git repository", 404, "GIT_REPO_NOT_FOUND" },
  { "not a git repository", 404, "GIT_REPO_NOT_FOUND" },
  { "returned error: 404", 404, "GIT_REPO_NOT_FOUND" },
  { "^fatal: repository '.*' does not exist", 404, "GIT_REPO_NOT_FOUND" },
  { "^fatal: repository '.*' not found", 404, "GIT_REPO_NOT_FOUND" },
  { "Could not resolve host", 502, "GIT_TRANSPORT_FAILED" },
  { "Couldn't connect", 502, "GIT_TRANSPORT_FAILED" },
  { "Failed to connect", 502, "GIT_TRANSPORT_FAILED" },
  { "Connection refused", 502, "GIT_TRANSPORT_FAILED" },
  { "Connection timed out", 502, "GIT_TRANSPORT_FAILED" },
  { "certificate", 502, "GIT_TRANSPORT_FAILED" },
  { "SSL", 502, "GIT_TRANSPORT_FAILED" },
  { "is not a valid remote name", 400 },
  { "src refspec", 404, "GIT_BRANCH_NOT_FOUND" },
  { "cannot mkdir", 400 },
  { "did not match any file", 400 },
  { "[remote rejected]", 422, "GIT_REMOTE_REJECTED" },
  { "hook declined", 422, "GIT_REMOTE_REJECTED" },
  { "[rejected]", 409, "GIT_PUSH_REJECTED" },
  { "non-fast-forward", 409, "GIT_PUSH_REJECTED" },
  { "Not possible to fast-forward", 409, "GIT_PUSH_REJECTED" },
  { "would be overwritten by", 409, "GIT_DIRTY_WORKTREE" },
  { "commit your changes or stash", 409, "GIT_DIRTY_WORKTREE" },
  { "CONFLICT", 409, "GIT_MERGE_CONFLICT" },
  { "unmerged files", 409, "GIT_MERGE_CONFLICT" },
  { "resolve your current index first", 409, "GIT_MERGE_CONFLICT" },
  { "^fatal: a branch named '.*' already exists", 409, "GIT_BRANCH_EXISTS" },
  { "invalid reference", 404, "GIT_BRANCH_NOT_FOUND" },
  { "^error: branch '.*' not found", 404, "GIT_BRANCH_NOT_FOUND" },
  { "not a valid branch name", 400 },
  { "reference is not a tree", 404, "GIT_BRANCH_NOT_FOUND" },
  { "unknown revision", 404, "GIT_BRANCH_NOT_FOUND" },
  { "unable to read tree", 404, "GIT_BRANCH_NOT_FOUND" },
  { "as a valid revision", 404, "GIT_BRANCH_NOT_FOUND" },
  { "already exists and is not an empty directory", 409 },
  { "unable to access", 502, "GIT_TRANSPORT_FAILED" },
}

--- A text without the passwords that URLs in it may carry.
function git.masked(s)
  return (s:gsub("(%w+://[^/@%s:']*):[^/@%s']*@", "%1:***@"))
end

--- Ends the request with what git's error output means.
---@param err string
function git.fail(err)
  local message = git.masked(text.utf8(err)):match "^%s*(.-)%s*$"
  if git.legacy then failures.raise_bare(git_library.translate(message)) end
  for _, meaning in ipairs(MEANINGS) do
    local wanted = meaning[1]
    if message:find(wanted, 1, wanted:sub(1, 1) ~= "^") then
      if meaning[3] then failures.code(meaning[2], meaning[3], message) end
      failures.raise(meaning[2], message)
    end
  end
  failures.raise(500, message)
end

--- Runs git; ends the request when it fails.
---@return string stdout
function git.must(o, ...)
  local code, out, err = git.run(o, ...)
  if code ~= 0 then git.fail(err ~= "" and err or out) end
  return out
end

--- Whether a folder is the root of a repository.
function git.is_repository(path)
  return sys.stat(path .. "/.git") ~= nil
    or sys.stat(path .. "/HEAD") ~= nil and sys.stat(path .. "/objects") ~= nil
end

return git
