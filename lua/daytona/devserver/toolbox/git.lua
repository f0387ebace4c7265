--- The git calls, done by the sandbox's git program. Credentials reach it in
-- its environment only, through a credential helper given on the command line:
-- no argument, no file and no message ever holds them.

local command = require "daytona.devserver.toolbox.command"
local environment = require "daytona.devserver.toolbox.environment"
local failures = require "daytona.devserver.toolbox.failures"
local fields = require "daytona.devserver.toolbox.fields"
local files = require "daytona.devserver.toolbox.files"
local sys = require "daytona.devserver.toolbox.sys"
local text = require "daytona.devserver.toolbox.text"

local git = {}

-- Running git --------------------------------------------------------------

local HELPER = '!f() { test "$1" = get || exit 0; '
  .. 'echo "username=$DAYTONA_GIT_USERNAME"; echo "password=$DAYTONA_GIT_PASSWORD"; }; f'

local function given(value)
  return value ~= nil and value ~= ""
end

-- Runs git with these arguments; `o` may hold path, username, password,
-- insecure, input. Credentials count only when both are there.
local function run(o, ...)
  local argv = { "git", "-c", "safe.directory=*" }
  local function add(...)
    for _, argument in ipairs { ... } do argv[#argv + 1] = argument end
  end
  local envs = {
    GIT_TERMINAL_PROMPT = "0", LC_ALL = "C", GIT_ASKPASS = "true", SSH_ASKPASS = "true",
    GIT_SSH_COMMAND = environment.get "GIT_SSH_COMMAND" or "ssh -o BatchMode=yes",
  }
  if given(o.username) and given(o.password) then
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
  { "did not match any file(s) known to git", 404, "GIT_BRANCH_NOT_FOUND" },
  { "reference is not a tree", 404, "GIT_BRANCH_NOT_FOUND" },
  { "unknown revision", 404, "GIT_BRANCH_NOT_FOUND" },
  { "unable to read tree", 404, "GIT_BRANCH_NOT_FOUND" },
  { "already exists and is not an empty directory", 409 },
  { "unable to access", 502, "GIT_TRANSPORT_FAILED" },
}

-- Without the passwords that URLs may carry.
local function masked(s)
  return (s:gsub("(%w+://[^/@%s:']*):[^/@%s']*@", "%1:***@"))
end

-- Ends the request with what git's error output means.
local function fail(err)
  local message = masked(text.utf8(err)):match "^%s*(.-)%s*$"
  for _, meaning in ipairs(MEANINGS) do
    local wanted = meaning[1]
    if message:find(wanted, 1, wanted:sub(1, 1) ~= "^") then
      if meaning[3] then failures.code(meaning[2], meaning[3], message) end
      failures.raise(meaning[2], message)
    end
  end
  failures.raise(500, message)
end

-- Runs git and returns its output, or ends the request.
local function must(o, ...)
  local code, out, err = run(o, ...)
  if code ~= 0 then fail(err ~= "" and err or out) end
  return out
end

local function is_repository(path)
  return sys.stat(path .. "/.git") ~= nil
    or sys.stat(path .. "/HEAD") ~= nil and sys.stat(path .. "/objects") ~= nil
end

-- Clone --------------------------------------------------------------------

local function is_empty(path)
  return run({ path = path }, "rev-parse", "--verify", "--quiet", "HEAD") ~= 0
end

-- Undoes a clone into a folder that was not there before.
local function discard(path, existed)
  if not existed then files.remove_tree(path) end
end

local function clone_arguments(f)
  local arguments = { "clone", "--quiet", "--single-branch" }
  if given(f.branch) then
    arguments[#arguments + 1] = "--branch=" .. f.branch:gsub("^refs/heads/", "")
  end
  if f.depth and f.depth > 0 then
    arguments[#arguments + 1] = ("--depth=%d"):format(f.depth)
    arguments[#arguments + 1] = "--no-local"
  end
  arguments[#arguments + 1] = "--"
  arguments[#arguments + 1] = f.url
  arguments[#arguments + 1] = f.path
  return arguments
end

--- POST /git/clone
function git.clone(req)
  local f = fields.read(req, {
    url = "string!", path = "string!", branch = "string", commit_id = "string",
    username = "string", password = "string", insecure_skip_tls = "boolean", depth = "uint32",
  })
  if is_repository(f.path) then
    failures.raise(409, "repository already exists")
  end
  local existed = sys.stat(f.path) ~= nil
  must({ username = f.username, password = f.password, insecure = f.insecure_skip_tls },
    unpack(clone_arguments(f)))
  if is_empty(f.path) then
    discard(f.path, existed)
    failures.raise(404, "remote repository is empty")
  end
  if given(f.commit_id) then
    local code, _, err = run({ path = f.path }, "checkout", "--quiet", "--detach", f.commit_id, "--")
    if code ~= 0 then
      discard(f.path, existed)
      fail(err)
    end
  end
  return 200
end

return git
