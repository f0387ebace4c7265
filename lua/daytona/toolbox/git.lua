-- Git in a sandbox: the daemon's own, so that credentials stay out of the
-- sandbox's files and processes.
--
-- A repository is named by the path of its root. What fails has a kind, and
-- `daytona.is_error(err, "git")` is true of it where the daemon says more: the
-- code is then GIT_AUTH_FAILED, GIT_REPO_NOT_FOUND, GIT_BRANCH_NOT_FOUND,
-- GIT_BRANCH_EXISTS, GIT_PUSH_REJECTED, GIT_DIRTY_WORKTREE, GIT_MERGE_CONFLICT,
-- GIT_REMOTE_REJECTED, GIT_TRANSPORT_FAILED, or one that is given here:
-- GIT_NOTHING_TO_COMMIT, GIT_FILE_NOT_FOUND.

local errors = require "daytona.base.errors"
local http = require "daytona.http"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"
local url = require "daytona.http.url"
local names = require "daytona.http.names"

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

-- The daemon sets no limit to what talks to a remote; ours, in seconds.
local REMOTE_TIMEOUT = 600

local function list_of(field, item)
  return function(raw)
    local list = raw[field]
    if list == nil then return nil end
    if type(list) ~= "table" then return "without its list" end
    for i = 1, #list do
      if type(list[i]) ~= item then return "without its list" end
    end
  end
end

local function status_flaw(raw)
  if type(raw.currentBranch) ~= "string" then return "no status" end
  local flaw = list_of("fileStatus", "table")(raw)
  if flaw then return flaw end
  for _, file in ipairs(raw.fileStatus or {}) do
    if type(file.name) ~= "string" then return "without the names of files" end
  end
end

local function remotes_flaw(raw)
  local flaw = list_of("remotes", "table")(raw)
  if flaw then return flaw end
  for _, remote in ipairs(raw.remotes or {}) do
    if type(remote.name) ~= "string" then return "without the names of remotes" end
  end
end

local function commit_flaw(raw)
  if type(raw.hash) ~= "string" then return "without the commit's hash" end
end

-- The daemon's calls: method, path, what comes back; `new` ones are not there
-- in daemons before 0.200.
local CALLS = {
  clone          = { "POST",   "/git/clone" },
  init           = { "POST",   "/git/init", new = true },
  status         = { "GET",    "/git/status",      "object", flaw = status_flaw },
  add            = { "POST",   "/git/add", safe = true },
  commit         = { "POST",   "/git/commit",      "object", flaw = commit_flaw },
  push           = { "POST",   "/git/push" },
  pull           = { "POST",   "/git/pull" },
  branches       = { "GET",    "/git/branches",    "object", flaw = list_of("branches", "string") },
  create_branch  = { "POST",   "/git/branches" },
  delete_branch  = { "DELETE", "/git/branches", safe = false },
  checkout       = { "POST",   "/git/checkout", safe = true },
  log            = { "GET",    "/git/history",     "list" },
  reset          = { "POST",   "/git/reset", new = true },
  restore        = { "POST",   "/git/restore", safe = true, new = true },
  remotes        = { "GET",    "/git/remotes",     "object", flaw = remotes_flaw, new = true },
  add_remote     = { "POST",   "/git/remotes", new = true },
  get_config     = { "GET",    "/git/config",      "object", new = true },
  set_config     = { "POST",   "/git/config", safe = true, new = true },
  configure_user = { "POST",   "/git/config/user", safe = true, new = true },
  authenticate   = { "POST",   "/git/credentials", safe = true, new = true },
}

local function too_old(self, operation, what, why)
  return nil, errors.new {
    kind = "unsupported", operation = operation, what = what, sandbox = self.sandbox,
    message = "this server is too old " .. why,
  }
end

-- What the daemon answers 500 to, by what it says: kind, code.
local MEANINGS = {
  commit        = { "clean working tree", "conflict", "GIT_NOTHING_TO_COMMIT" },
  add           = { "entry not found", "not_found", "GIT_FILE_NOT_FOUND" },
  create_branch = { "already exists", "conflict", "GIT_BRANCH_EXISTS" }, -- before 0.200
}

local function explain(operation, err)
  local meaning = MEANINGS[operation]
  if meaning and err.status == 500 and err.message:find(meaning[1], 1, true) then
    err.kind, err.code = meaning[2], meaning[3]
  end
  return err
end

local function call(self, operation, request)
  local connection, err = self.sandbox:toolbox()
  if not connection then return nil, err end
  local spec = CALLS[operation]
  request.method, request.path, request.answer, request.safe = spec[1], spec[2], spec[3], spec.safe
  request.flaw, request.operation, request.sandbox = spec.flaw, operation, self.sandbox
  local response
  response, err = http.request(connection, request)
  if response then return response end
  if spec.new and err.status == 404 and not err.code then return too_old(self, operation, request.what, "for this") end
  return nil, explain(operation, err)
end

-- Whether the daemon is one before 0.200: true or false; nil and an error when
-- that cannot be told. It stays what it is as long as the sandbox lives.
local function is_old(self, path)
  if self.old == nil then
    local remotes, err = self:remotes(path)
    if not remotes and err.kind ~= "unsupported" then return nil, err end
    self.old = not remotes
  end
  return self.old
end

-- A call that answers nothing: true, or nil and why.
local function done(self, operation, request)
  local response, err = call(self, operation, request)
  if not response then return nil, err end
  return true
end

local function check_text(what, text)
  options.argument(what, "text", text)
  if text:find("%z") then errors.misuse(1, "%s holds a NUL byte", what) end
  return text
end

-- One name or several, as a list.
local function check_files(what, files)
  if type(files) == "string" then files = { files } end
  options.argument(what, "list", files)
  if files[1] == nil then errors.misuse(1, "%s: the list is empty", what) end
  for i = 1, #files do check_text(what, files[i]) end
  return files
end

-- They count for the daemon only together, and it does not say so.
local function check_credentials(operation, opts)
  if (opts.username == nil) ~= (opts.password == nil) then
    errors.misuse(1, "%s: username and password go together; a token is a password of any user", operation)
  end
end

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

--- Making repositories ------------------------------------------------------------------

local CLONE = {
  branch = "text", commit_id = "text", username = "text", password = "text", depth = "positive",
  insecure_skip_tls = "boolean", timeout = "seconds",
}

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
  check_credentials("clone", opts)
  for _, text in ipairs { address, path or "" } do
    if text:find("%c") then errors.misuse(1, "clone: the URL and the path cannot hold control characters") end
  end
  local plain, username, password = split_credentials(address)
  path = path or folder_of(plain)
  local fine, err = done(self, "clone", {
    what = plain,
    json = {
      url = plain, path = path, branch = opts.branch, commit_id = opts.commit_id, depth = opts.depth,
      username = opts.username or username, password = opts.password or password,
      insecure_skip_tls = opts.insecure_skip_tls,
    },
    timeout = opts.timeout or REMOTE_TIMEOUT, secrets = { opts.password or password },
  })
  if not fine then return nil, err end
  return { url = plain, path = path }
end

---Makes a repository, and its folder. kind "conflict" where there is one.
---@param path string
---@param opts? { bare?: boolean, initial_branch?: string }
---@return true?
---@return daytona.Error?
function Git:init(path, opts)
  check_text("init: the path", path)
  opts = options.check("init", { bare = "boolean", initial_branch = "text" }, opts)
  return done(self, "init", {
    what = path, json = { path = path, bare = opts.bare, initial_branch = opts.initial_branch },
  })
end

--- Looking ------------------------------------------------------------------------------

---@alias daytona.GitState
---| "Unmodified" | "Untracked" | "Modified" | "Added" | "Deleted" | "Renamed"
---| "Copied" | "Updated but unmerged"

---@class daytona.GitStatus
---@field current_branch string    "HEAD" when none is checked out
---@field file_status { name: string, extra: string, staging: daytona.GitState, worktree: daytona.GitState }[]  what is not clean, in order of name; `extra` is the old name of a renamed file
---@field branch_published boolean whether the branch follows one of a remote
---@field ahead integer            commits that the upstream has not
---@field behind integer           commits that only the upstream has
---@field detached? boolean        nil: an old server
---@field upstream? string         "origin/main"

---What is checked out, and what has changed. kind "not_found" before the first
---commit.
---@param path string
---@return daytona.GitStatus?
---@return daytona.Error?
function Git:status(path)
  check_text("status: the path", path)
  local response, err = call(self, "status", { query = { path = path }, what = path })
  if not response then return nil, err end
  local status = names.to_lua(response.json)
  status.file_status = status.file_status or {}
  table.sort(status.file_status, function(a, b) return a.name < b.name end)
  return status
end

---The names of the local branches, in order; and the one that is checked out
---(nil: none is, or a server before 0.200).
---@param path string
---@return string[]?
---@return string|daytona.Error|nil current
function Git:branches(path)
  check_text("branches: the path", path)
  local response, err = call(self, "branches", { query = { path = path }, what = path })
  if not response then return nil, err end
  local branches, current = response.json.branches, response.json.current
  if type(branches) ~= "table" then branches = {} end
  table.sort(branches)
  return branches, type(current) == "string" and current ~= "" and current or nil
end

---All commits that lead to what is checked out, the newest first.
---@param path string
---@return { hash: string, author: string, email: string, message: string, timestamp: string }[]?
---@return daytona.Error?
function Git:log(path)
  check_text("log: the path", path)
  local response, err = call(self, "log", { query = { path = path }, what = path })
  if not response then return nil, err end
  return names.to_lua(response.json)
end

--- Committing ---------------------------------------------------------------------------

---Stages files; "." is everything. GIT_FILE_NOT_FOUND (kind "not_found") when one
---is not there.
---@param path string
---@param files string|string[]
---@return true?
---@return daytona.Error?
function Git:add(path, files)
  check_text("add: the path", path)
  files = check_files("add: the files", files)
  return done(self, "add", { what = path, json = { path = path, files = files } })
end

---Commits what is staged. Hooks do not run, nothing is signed. When nothing is
---staged: GIT_NOTHING_TO_COMMIT (kind "conflict"), unless `allow_empty`.
---@param path string
---@param message string
---@param author string  name
---@param email string
---@param opts? { allow_empty?: boolean }
---@return { hash: string }?
---@return daytona.Error?
function Git:commit(path, message, author, email, opts)
  check_text("commit: the path", path)
  check_text("commit: the message", message)
  check_text("commit: the author", author)
  check_text("commit: the e-mail address", email)
  opts = options.check("commit", { allow_empty = "boolean" }, opts)
  local response, err = call(self, "commit", {
    what = path,
    json = { path = path, message = message, author = author, email = email, allow_empty = opts.allow_empty },
  })
  if not response then return nil, err end
  return { hash = response.json.hash }
end

---Moves the branch (and, as `mode` says, index and files) to a revision.
---@param path string
---@param opts? { mode?: "soft"|"mixed"|"hard"|"merge"|"keep", target?: string, files?: string|string[] }  mixed, HEAD; `files` are what a mixed one is limited to
---@return true?
---@return daytona.Error?
function Git:reset(path, opts)
  check_text("reset: the path", path)
  opts = options.check("reset", {
    mode = { "soft", "mixed", "hard", "merge", "keep" }, target = "text", files = "any",
  }, opts)
  local files = opts.files and check_files("reset: option 'files'", opts.files)
  if files and opts.mode and opts.mode ~= "mixed" then
    errors.misuse(1, "reset: only a mixed reset can be limited to files")
  end
  return done(self, "reset", {
    what = path, json = { path = path, mode = opts.mode, target = opts.target, files = files },
  })
end

---Takes changes to files back: in the worktree when nothing is said, with
---`staged` in the index, with both in both.
---@param path string
---@param files string|string[]
---@param opts? { staged?: boolean, worktree?: boolean, source?: string }
---@return true?
---@return daytona.Error?
function Git:restore(path, files, opts)
  check_text("restore: the path", path)
  files = check_files("restore: the files", files)
  opts = options.check("restore", { staged = "boolean", worktree = "boolean", source = "text" }, opts)
  return done(self, "restore", {
    what = path,
    json = { path = path, files = files, staged = opts.staged, worktree = opts.worktree, source = opts.source },
  })
end

--- Branches -----------------------------------------------------------------------------

---Makes a branch where HEAD is, and checks it out. When there is one of that name:
---GIT_BRANCH_EXISTS (kind "conflict").
---@param path string
---@param name string
---@return true?
---@return daytona.Error?
function Git:create_branch(path, name)
  check_text("create_branch: the path", path)
  check_text("create_branch: the name", name)
  return done(self, "create_branch", { what = name, json = { path = path, name = name } })
end

local function has(list, item)
  for i = 1, #list do
    if list[i] == item then return true end
  end
  return false
end

local function no_branch(self, operation, name)
  return nil, errors.new {
    kind = "not_found", code = "GIT_BRANCH_NOT_FOUND", operation = operation, what = name,
    sandbox = self.sandbox, message = "there is no such branch",
  }
end

-- The branch that is checked out, also where `branches` does not tell.
local function checked_out(self, path, current)
  if current then return current end
  local status, err = self:status(path)
  if not status then return nil, err end
  return status.current_branch
end

---Deletes a branch, merged or not. kind "not_found" when there is none of that
---name, "conflict" when it is checked out.
---@param path string
---@param name string
---@return true?
---@return daytona.Error?
function Git:delete_branch(path, name)
  check_text("delete_branch: the path", path)
  check_text("delete_branch: the name", name)
  -- Old servers delete the current branch as well, and what is not there.
  local branches, current = self:branches(path)
  if not branches then return nil, current end
  if not has(branches, name) then return no_branch(self, "delete_branch", name) end
  local err
  current, err = checked_out(self, path, current)
  if not current then return nil, err end
  if current == name then
    return nil, errors.new {
      kind = "conflict", operation = "delete_branch", what = name, sandbox = self.sandbox,
      message = "the branch is checked out",
    }
  end
  return done(self, "delete_branch", { what = name, json = { path = path, name = name } })
end

local function go_to(self, path, branch)
  return done(self, "checkout", { what = branch, json = { path = path, branch = branch } })
end

-- A name that is no local branch may be a tag or another revision; daemons take
-- what they do not know for "master". So it is looked where that led, and gone
-- back from there.
local function go_and_look(self, path, name, current)
  local fine, err = go_to(self, path, name)
  if not fine then return nil, err end
  local status
  status, err = self:status(path)
  if not status then return nil, err end
  if status.detached or status.current_branch == name then return true end
  if current and current ~= status.current_branch then
    fine, err = go_to(self, path, current)
    if not fine then return nil, err end
  end
  return no_branch(self, "checkout", name)
end

---Checks out a branch, or a commit by its hash (and, on servers that know them,
---other revisions). It never ends on another branch than the one asked for. Fails
---with GIT_BRANCH_NOT_FOUND, or GIT_DIRTY_WORKTREE (kind "conflict") when changes
---are in the way (then HEAD may have moved all the same on servers before 0.200).
---@param path string
---@param branch string
---@return true?
---@return daytona.Error?
function Git:checkout(path, branch)
  check_text("checkout: the path", path)
  check_text("checkout: the branch", branch)
  local name = branch:gsub("^refs/heads/", "")
  local branches, current = self:branches(path)
  if not branches then return nil, current end
  if has(branches, name) then return go_to(self, path, name) end
  if #name >= 4 and #name <= 64 and not name:find("%X") then return go_to(self, path, name) end
  local old, err = is_old(self, path)
  if old == nil then return nil, err end
  if old then return no_branch(self, "checkout", name) end
  return go_and_look(self, path, name, current)
end

--- Remotes ------------------------------------------------------------------------------

local PUSH = {
  username = "text", password = "text", branch = "text", remote = "text", set_upstream = "boolean",
  timeout = "seconds",
}

local function exchange(self, operation, path, opts, fields)
  fields.path, fields.username, fields.password = path, opts.username, opts.password
  return done(self, operation, {
    what = path, json = fields, timeout = opts.timeout or REMOTE_TIMEOUT, secrets = { opts.password },
  })
end

---Pushes a branch to the branch of its name. Nothing to push is fine.
---
---Fails with GIT_AUTH_FAILED (kind "auth"), GIT_PUSH_REJECTED ("conflict": pull
---first), GIT_REMOTE_REJECTED ("invalid": a rule over there), GIT_TRANSPORT_FAILED
---("unavailable").
---@param path string
---@param opts? { username?: string, password?: string, branch?: string, remote?: string, set_upstream?: boolean, timeout?: number }  the current branch, "origin"
---@return true?
---@return daytona.Error?
function Git:push(path, opts)
  check_text("push: the path", path)
  opts = options.check("push", PUSH, opts)
  check_credentials("push", opts)
  if opts.branch or opts.remote or opts.set_upstream then -- old servers would push something else
    local old, err = is_old(self, path)
    if old == nil then return nil, err end
    if old then return too_old(self, "push", path, "to push anything but the current branch") end
  end
  return exchange(self, "push", path, opts, {
    branch = opts.branch, remote = opts.remote, set_upstream = opts.set_upstream,
  })
end

local PULL = {
  username = "text", password = "text", branch = "text", remote = "text", timeout = "seconds",
}

-- What the current branch follows: remote and branch. Without these the daemon
-- would take the remote's default branch. The name of a remote may hold "/", so
-- it is only taken apart when it is the usual one.
local function followed(status)
  local branch = status.upstream and status.upstream:match("^origin/(.+)$")
  if branch then return "origin", branch end
  return nil, status.current_branch
end

-- Servers before 0.200 take the remote's default branch whatever is asked for,
-- and would take a branch of one's own forward to it.
local function check_old_pull(self, path, opts, status)
  local old, err = is_old(self, path)
  if old == nil then return nil, err end
  if not old then return true end
  if opts.branch or opts.remote then return too_old(self, "pull", path, "to pull what is named") end
  local current = status.current_branch
  if current == "main" or current == "master" then return true end
  return too_old(self, "pull", path, "to pull anything but the remote's default branch")
end

---Fetches, and takes the current branch forward to what it follows (or to
---`branch`). Only fast forward: histories that have parted are a "conflict".
---
---Servers before 0.200 know the remote's default branch only: there this works on
---"main" and "master", and naming something is an error (kind "unsupported").
---@param path string
---@param opts? { username?: string, password?: string, branch?: string, remote?: string, timeout?: number }
---@return true?
---@return daytona.Error?
function Git:pull(path, opts)
  check_text("pull: the path", path)
  opts = options.check("pull", PULL, opts)
  check_credentials("pull", opts)
  local status, err = self:status(path)
  if not status then return nil, err end
  local fine
  fine, err = check_old_pull(self, path, opts, status)
  if not fine then return nil, err end
  if status.detached or status.current_branch == "HEAD" then
    return nil, errors.new {
      kind = "conflict", operation = "pull", what = path, sandbox = self.sandbox,
      message = "no branch is checked out that could be taken forward",
    }
  end
  local remote, branch = followed(status)
  if opts.branch or (opts.remote and opts.remote ~= remote) then branch = opts.branch or status.current_branch end
  return exchange(self, "pull", path, opts, { branch = branch, remote = opts.remote or remote })
end

---The remotes, in order of name; passwords in their URLs are masked.
---@param path string
---@return { name: string, url: string }[]?
---@return daytona.Error?
function Git:remotes(path)
  check_text("remotes: the path", path)
  local response, err = call(self, "remotes", { query = { path = path }, what = path })
  if not response then return nil, err end
  local remotes = response.json.remotes
  if type(remotes) ~= "table" then return {} end
  remotes = names.to_lua(remotes)
  table.sort(remotes, function(a, b) return a.name < b.name end)
  return remotes
end

---One remote; kind "not_found" when there is none of that name.
---@param path string
---@param name string
---@return { name: string, url: string }?
---@return daytona.Error?
function Git:get_remote(path, name)
  check_text("get_remote: the path", path)
  check_text("get_remote: the name", name)
  local remotes, err = self:remotes(path)
  if not remotes then return nil, err end
  for _, remote in ipairs(remotes) do
    if remote.name == name then return remote end
  end
  return nil, errors.new {
    kind = "not_found", operation = "get_remote", what = name, sandbox = self.sandbox,
    message = "there is no such remote",
  }
end

---Adds a remote. kind "conflict" when there is one of that name and no `overwrite`.
---
---Credentials in the URL would lie in the repository, readable for what runs
---there: they are refused. `fetch` fetches at once, without credentials.
---@param path string
---@param name string
---@param address string  URL
---@param opts? { fetch?: boolean, overwrite?: boolean, timeout?: number }
---@return true?
---@return daytona.Error?
function Git:add_remote(path, name, address, opts)
  check_text("add_remote: the path", path)
  check_text("add_remote: the name", name)
  check_text("add_remote: the URL", address)
  opts = options.check("add_remote", { fetch = "boolean", overwrite = "boolean", timeout = "seconds" }, opts)
  if split_credentials(address) ~= address then
    errors.misuse(1, "add_remote: a URL with credentials would be stored; pass them to push and pull")
  end
  return done(self, "add_remote", {
    what = name, timeout = opts.timeout or (opts.fetch and REMOTE_TIMEOUT) or nil,
    json = { path = path, name = name, url = address, fetch = opts.fetch, overwrite = opts.overwrite },
  })
end

--- Configuration ------------------------------------------------------------------------

local SCOPED = { scope = { "global", "local", "system" }, path = "text" }

local function check_scope(operation, opts)
  opts = options.check(operation, SCOPED, opts)
  if opts.scope == "local" and not opts.path then
    errors.misuse(1, "%s: the local scope is a repository's; pass its path", operation)
  end
  return opts
end

---A setting; "" when it is not set.
---@param key string  "user.name"
---@param opts? { scope?: "global"|"local"|"system", path?: string }  global
---@return string?
---@return daytona.Error?
function Git:get_config(key, opts)
  check_text("get_config: the key", key)
  opts = check_scope("get_config", opts)
  local query = { key = key, scope = opts.scope, path = opts.path }
  local response, err = call(self, "get_config", { query = query, what = key })
  if not response then return nil, err end
  local value = response.json.value
  return type(value) == "string" and value or ""
end

---Sets a setting, to anything but "".
---@param key string
---@param value string
---@param opts? { scope?: "global"|"local"|"system", path?: string }  global
---@return true?
---@return daytona.Error?
function Git:set_config(key, value, opts)
  check_text("set_config: the key", key)
  check_text("set_config: the value", value)
  opts = check_scope("set_config", opts)
  return done(self, "set_config", {
    what = key, json = { key = key, value = value, scope = opts.scope, path = opts.path }, secrets = { value },
  })
end

---Sets the name and the address of who commits with the git program.
---@param name string
---@param email string
---@param opts? { scope?: "global"|"local"|"system", path?: string }  global
---@return true?
---@return daytona.Error?
function Git:configure_user(name, email, opts)
  check_text("configure_user: the name", name)
  check_text("configure_user: the e-mail address", email)
  opts = check_scope("configure_user", opts)
  return done(self, "configure_user", {
    what = name, json = { name = name, email = email, scope = opts.scope, path = opts.path },
  })
end

---Leaves credentials in the sandbox, for the git program and every program there
---to read: in plain text, in the home directory. `push` and `pull` with
---credentials need none of it.
---@param username string
---@param password string  or a token
---@param opts? { host?: string, protocol?: string }  "github.com", "https"
---@return true?
---@return daytona.Error?
function Git:authenticate(username, password, opts)
  check_text("authenticate: the username", username)
  check_text("authenticate: the password", password)
  opts = options.check("authenticate", { host = "text", protocol = "text" }, opts)
  for _, text in ipairs { username, password, opts.host or "", opts.protocol or "" } do
    if text:find("[\r\n]") then errors.misuse(1, "authenticate: credentials cannot hold line ends") end
  end
  return done(self, "authenticate", {
    what = opts.host or "github.com", secrets = { password },
    json = { username = username, password = password, host = opts.host, protocol = opts.protocol },
  })
end

methods.guard(Git, "daytona.Git", "sandbox.git")

return M
