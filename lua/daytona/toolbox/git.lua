-- Git in a sandbox: the daemon's own, so that credentials stay out of the
-- sandbox's files and processes.
--
-- A repository is named by the path of its root. What fails has a kind, and
-- `daytona.is_error(err, "git")` is true of it where the daemon says more: the
-- code is then GIT_AUTH_FAILED, GIT_REPO_NOT_FOUND, GIT_BRANCH_NOT_FOUND,
-- GIT_BRANCH_EXISTS, GIT_PUSH_REJECTED, GIT_DIRTY_WORKTREE, GIT_MERGE_CONFLICT,
-- GIT_REMOTE_REJECTED, GIT_TRANSPORT_FAILED, or one that is given here:
-- GIT_NOTHING_TO_COMMIT, GIT_FILE_NOT_FOUND.

local calls = require "daytona.toolbox.calls"
local errors = require "daytona.base.errors"
local loop = require "daytona.loop"
local methods = require "daytona.base.methods"
local options = require "daytona.base.options"
local order = require "daytona.toolbox.order"
local sorted = require "daytona.base.sorted"
local url = require "daytona.http.url"

---Git in a sandbox: `sb.git`. Paths are those of repositories over there.
---@class daytona.Git
local Git = {}
Git.__index = Git
Git.__name = "daytona.Git"

---@private
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

--- What callers give ----------------------------------------------------------------------

local function plain(value)
  return type(value) == "string" and value ~= "" and not value:find("%z"),
    "a string that is not empty, without NUL bytes"
end

local function names(value)
  if type(value) == "string" then return plain(value) end
  if type(value) ~= "table" or value[1] == nil then return false, "a name or a list of names" end
  for i = 1, #value do
    if not plain(value[i]) then return false, "a name or a list of names without NUL bytes" end
  end
  return true
end

local PATH, NAME, FILES = { "path", plain }, { "name", plain }, { "files", names }

-- One name or several, as a list.
local function list_files(values)
  if type(values.files) == "string" then values.files = { values.files } end
end

local function check_reset(values)
  list_files(values)
  if values.files and values.mode and values.mode ~= "mixed" then
    errors.misuse(1, "reset: only a mixed reset can be limited to files")
  end
end

-- They count for the daemon only together, and it does not say so.
local function check_credentials(operation)
  return function(values)
    if (values.username == nil) ~= (values.password == nil) then
      errors.misuse(1, "%s: username and password go together; a token is a password of any user", operation)
    end
  end
end

local SCOPED = { scope = { "global", "local", "system" }, path = "text" }

local function check_scope(operation)
  return function(values)
    if values.scope == "local" and not values.path then
      errors.misuse(1, "%s: the local scope is a repository's; pass its path", operation)
    end
  end
end

local function check_commit(values)
  order.check("email", values.author, values.email, "commit: the author's name comes first, then the address")
end

local function check_user(values)
  order.check("email", values.name, values.email, "configure_user: the name comes first, then the address")
  check_scope "configure_user"(values)
end

local function check_setting(values)
  order.check("setting", values.value, values.key, "set_config: the key comes first, then the value")
  check_scope "set_config"(values)
end

local function check_lines(values)
  order.check("token", values.username, values.password, "authenticate: the user comes first, then the token")
  for _, text in pairs(values) do
    if text:find("[\r\n]") then errors.misuse(1, "authenticate: credentials cannot hold line ends") end
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

local function prepare_remote(values, request)
  order.check("address", values.name, values.url, "add_remote: the name comes first, then the URL")
  if split_credentials(values.url) ~= values.url then
    errors.misuse(1, "add_remote: a URL with credentials would be stored; pass them to push and pull")
  end
  if values.fetch and not request.timeout then request.timeout = REMOTE_TIMEOUT end
end

--- What comes back ------------------------------------------------------------------------

local function list_of(field, item)
  return function(answer)
    local list = answer[field]
    if list == nil then return nil end
    if type(list) ~= "table" then return "without its list" end
    for i = 1, #list do
      if type(list[i]) ~= item then return "without its list" end
    end
  end
end

local function named(field, flaw)
  local no_list = list_of(field, "table")
  return function(answer)
    local missing = no_list(answer)
    if missing then return missing end
    for _, item in ipairs(answer[field] or {}) do
      if type(item.name) ~= "string" then return flaw end
    end
  end
end

local files_flaw = named("file_status", "without the names of files")

local function status_flaw(answer)
  if type(answer.current_branch) ~= "string" then return "no status" end
  return files_flaw(answer)
end

local function commit_flaw(answer)
  if type(answer.hash) ~= "string" then return "without the commit's hash" end
end

local function by_name(a, b) return a.name < b.name end

local function status_of(status)
  status.file_status = status.file_status or {}
  sorted(status.file_status, by_name, loop.breathe)
  return status
end

local function branches_of(answer)
  local branches, current = answer.branches or {}, answer.current
  sorted(branches, function(a, b) return a < b end, loop.breathe)
  return branches, type(current) == "string" and current ~= "" and current or nil
end

local function remotes_of(answer)
  local remotes = answer.remotes or {}
  return sorted(remotes, by_name, loop.breathe)
end

local function hash_of(answer) return { hash = answer.hash } end

local function value_of(answer)
  return type(answer.value) == "string" and answer.value or ""
end

--- What errors mean -----------------------------------------------------------------------

-- What the daemon answers 500 to, by what it says: text, kind, code.
local UNREACHABLE = {
  { "connection refused", "unavailable", "GIT_TRANSPORT_FAILED" },
  { "no such host", "unavailable", "GIT_TRANSPORT_FAILED" },
  { "dial tcp", "unavailable", "GIT_TRANSPORT_FAILED" },
  { "repository not exported", "not_found", "GIT_REPO_NOT_FOUND" },
  { "couldn't find remote ref", "not_found", "GIT_BRANCH_NOT_FOUND" },
  { "hook declined", "invalid", "GIT_REMOTE_REJECTED" },
}
local PARTED = { "non-fast-forward", "conflict", "GIT_PUSH_REJECTED" }
local NOTHING_STAGED = { "clean working tree", "conflict", "GIT_NOTHING_TO_COMMIT" }
local NO_FILE = { "entry not found", "not_found", "GIT_FILE_NOT_FOUND" }
local BRANCH_EXISTS = { "already exists", "conflict", "GIT_BRANCH_EXISTS" } -- before 0.200

local function understand(err, meanings)
  for _, meaning in ipairs(meanings) do
    if err.message:find(meaning[1], 1, true) then
      err.kind, err.code = meaning[2], meaning[3]
      return
    end
  end
end

-- An `explain` of calls that give one of these errors.
local function meaning(...)
  local meanings = { ... }
  return function(err)
    if err.status == 500 then understand(err, meanings) end
    return err
  end
end

local function explain_exchange(err)
  if err.status == 500 then
    understand(err, { PARTED })
    understand(err, UNREACHABLE)
  end
  return err
end

--- Old daemons ----------------------------------------------------------------------------

-- Of daemons before 0.200: they do not know the remotes' endpoint.
local ABILITY = "git_remotes"

local api -- below

local function too_old(self, operation, what, why)
  return nil, errors.new {
    kind = "unsupported", operation = operation, what = what, sandbox = self.sandbox,
    message = "this server is too old " .. why,
  }
end

-- Whether the daemon is one before 0.200: true or false; nil and an error when
-- that cannot be told. Any path will do: who knows the endpoint says what is there.
local function is_old(self, path)
  local daemon, err = calls.daemon(self.sandbox)
  if not daemon then return nil, err end
  if daemon:knows(ABILITY) == nil then
    local remotes
    remotes, err = api.remotes(self, { path = path })
    local is_unsupported = not remotes and err.kind == "unsupported"
    if not remotes and not is_unsupported and not err.code then return nil, err end
    daemon:learn(ABILITY, not is_unsupported)
  end
  return not daemon:knows(ABILITY)
end

-- Old servers would push something else than what is named.
local function can_push(self, values)
  if not (values.branch or values.remote or values.set_upstream) then return true end
  local old, err = is_old(self, values.path)
  if old == nil then return nil, err end
  if old then return too_old(self, "push", values.path, "to push anything but the current branch") end
  return true
end

--- Branches, before they are changed ------------------------------------------------------

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
  local status, err = api.status(self, { path = path })
  if not status then return nil, err end
  return status.current_branch
end

-- Whether a branch may be deleted: true, or nil, err. Old servers delete the current
-- branch as well, and what is not there.
local function can_delete(self, values)
  local path, name = values.path, values.name
  local branches, current = api.branches(self, { path = path })
  if not branches then return nil, current end
  if not has(branches, name) then return no_branch(self, "delete_branch", name) end
  local err
  current, err = checked_out(self, path, current)
  if not current then return nil, err end
  if current ~= name then return true end
  return nil, errors.new {
    kind = "conflict", operation = "delete_branch", what = name, sandbox = self.sandbox,
    message = "the branch is checked out",
  }
end

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
local function check_old_pull(self, values, status)
  local old, err = is_old(self, values.path)
  if old == nil then return nil, err end
  if not old then return true end
  if values.branch or values.remote then return too_old(self, "pull", values.path, "to pull what is named") end
  local current = status.current_branch
  if current == "main" or current == "master" then return true end
  return too_old(self, "pull", values.path, "to pull anything but the remote's default branch")
end

-- Says what is pulled: what the current branch follows where nothing is named. true, or nil, err.
local function can_pull(self, values)
  local status, err = api.status(self, { path = values.path }, { operation = "pull" })
  if not status then return nil, err end
  local fine
  fine, err = check_old_pull(self, values, status)
  if not fine then return nil, err end
  if status.detached or status.current_branch == "HEAD" then
    return nil, errors.new {
      kind = "conflict", operation = "pull", what = values.path, sandbox = self.sandbox,
      message = "no branch is checked out that could be taken forward",
    }
  end
  local remote, branch = followed(status)
  if values.branch or values.remote and values.remote ~= remote then branch = values.branch or status.current_branch end
  values.branch, values.remote = branch, values.remote or remote
  return true
end

--- The calls ------------------------------------------------------------------------------

-- What daemons before do not have.
local NEW = "0.200"

local PULL = {
  username = "text", password = "text", branch = "text", remote = "text", timeout = "seconds",
}

local PUSH = {
  username = "text", password = "text", branch = "text", remote = "text", set_upstream = "boolean",
  timeout = "seconds",
}

api = calls.of_daemon {
  clone = { "POST", "/git/clone", as_is = true, what = "url", secret = { "password" }, explain = explain_exchange },
  init = { "POST", "/git/init", as_is = true, what = "path", since = NEW, args = { PATH },
           options = { bare = "boolean", initial_branch = "text" } },
  status = { "GET", "/git/status", "object", what = "path", args = { PATH }, flaw = status_flaw, refine = status_of },
  branches = { "GET", "/git/branches", "object", what = "path", args = { PATH },
               flaw = list_of("branches", "string"), refine = branches_of },
  log = { "GET", "/git/history", "list", what = "path", args = { PATH } },
  add = { "POST", "/git/add", what = "path", safe = true, args = { PATH, FILES }, prepare = list_files,
          explain = meaning(NO_FILE) },
  commit = { "POST", "/git/commit", "object", as_is = true, what = "path",
             args = { PATH, { "message", plain }, { "author", plain }, { "email", plain } },
             options = { allow_empty = "boolean" }, prepare = check_commit, flaw = commit_flaw, refine = hash_of,
             explain = meaning(NOTHING_STAGED) },
  reset = { "POST", "/git/reset", what = "path", since = NEW, args = { PATH }, prepare = check_reset,
            options = { mode = { "soft", "mixed", "hard", "merge", "keep" }, target = "text", files = names } },
  restore = { "POST", "/git/restore", what = "path", safe = true, since = NEW, args = { PATH, FILES },
              prepare = list_files, options = { staged = "boolean", worktree = "boolean", source = "text" } },
  create_branch = { "POST", "/git/branches", what = "name", args = { PATH, NAME }, explain = meaning(BRANCH_EXISTS) },
  delete_branch = { "DELETE", "/git/branches", body = true, what = "name", safe = false, args = { PATH, NAME },
                    before = can_delete },
  checkout = { "POST", "/git/checkout", what = "branch", safe = true, args = { PATH, { "branch", plain } } },
  push = { "POST", "/git/push", as_is = true, what = "path", secret = { "password" }, timeout = REMOTE_TIMEOUT,
           args = { PATH }, options = PUSH, prepare = check_credentials "push", before = can_push,
           explain = explain_exchange },
  pull = { "POST", "/git/pull", what = "path", secret = { "password" }, timeout = REMOTE_TIMEOUT,
           args = { PATH }, options = PULL, prepare = check_credentials "pull", before = can_pull,
           explain = explain_exchange },
  remotes = { "GET", "/git/remotes", "object", what = "path", since = NEW, args = { PATH },
              flaw = named("remotes", "without the names of remotes"), refine = remotes_of },
  add_remote = { "POST", "/git/remotes", what = "name", since = NEW,
                 args = { PATH, NAME, { "url", plain } }, prepare = prepare_remote,
                 options = { fetch = "boolean", overwrite = "boolean", timeout = "seconds" } },
  get_config = { "GET", "/git/config", "object", what = "key", since = NEW, args = { { "key", plain } },
                 options = SCOPED, prepare = check_scope "get_config", refine = value_of },
  set_config = { "POST", "/git/config", what = "key", safe = true, since = NEW, secret = { "value" },
                 args = { { "key", plain }, { "value", plain } }, options = SCOPED,
                 prepare = check_setting },
  configure_user = { "POST", "/git/config/user", what = "name", safe = true, since = NEW,
                     args = { NAME, { "email", plain } }, options = SCOPED, prepare = check_user },
  authenticate = { "POST", "/git/credentials", what = "host", safe = true, since = NEW, secret = { "password" },
                   args = { { "username", plain }, { "password", plain } },
                   options = { host = "text", protocol = "text" }, prepare = check_lines },
}

local method = calls.method

-- A call whose first argument is a repository, the second none. Where there is no such repository
-- but what came second is one, the error says so.
local function ordered(call)
  return function(self, path, other, ...)
    local done, err = call(self, path, other, ...)
    if done == nil and err.code == "GIT_REPO_NOT_FOUND" and type(other) == "string" then
      order.hint_if_there(self.sandbox, err, other .. "/.git", "the path of the repository comes first")
    end
    return done, err
  end
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

local function check_clone(address, path)
  options.argument("clone: the URL", "text", address)
  if path ~= nil then options.argument("clone: the path", "text", path) end
  order.check("address", path, address, "clone: the URL comes first, then the path")
  for _, text in ipairs { address, path or "" } do
    if text:find("%c") then errors.misuse(1, "clone: the URL and the path cannot hold control characters") end
  end
end

---Clones a repository into the sandbox.
---
---Credentials in the URL are taken out of it and sent apart; a token alone in the place
---of the user is one. Fails with kind "auth" when they are missing or refused,
---"not_found" for a repository or branch that is not there, "conflict" when `path` is
---taken, "unavailable" when the remote cannot be reached. `depth` is "unsupported" on
---servers before 0.200, which would fetch everything.
---@param address string  URL of the repository
---@param path? string    where to; the repository's name, in the working directory
---@param opts? { branch?: string, commit_id?: string, username?: string, password?: string, depth?: integer, insecure_skip_tls?: boolean, timeout?: number }  timeout: seconds, 600
---@return { url: string, path: string }?
---@return daytona.Error?
function Git:clone(address, path, opts)
  check_clone(address, path)
  opts = options.check("clone", CLONE, opts)
  check_credentials "clone"(opts)
  local plain_address, username, password = split_credentials(address)
  path = path or folder_of(plain_address)
  if opts.depth then
    local old, err = is_old(self, path)
    if old == nil then return nil, err end
    if old then return too_old(self, "clone", plain_address, "to clone to a depth") end
  end
  local fine, err = api.clone(self, {
    url = plain_address, path = path, branch = opts.branch, commit_id = opts.commit_id, depth = opts.depth,
    username = opts.username or username, password = opts.password or password,
    insecure_skip_tls = opts.insecure_skip_tls,
  }, { timeout = opts.timeout or REMOTE_TIMEOUT })
  if not fine then return nil, err end
  return { url = plain_address, path = path }
end

---Makes a repository, and its folder. kind "conflict" where there is one.
---@type fun(self: daytona.Git, path: string, opts?: { bare?: boolean, initial_branch?: string }): true?, daytona.Error?
Git.init = method(api.init)

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
---@type fun(self: daytona.Git, path: string): daytona.GitStatus?, daytona.Error?
Git.status = method(api.status)

---The names of the local branches, in order; and the one that is checked out
---(nil: none is, or a server before 0.200).
---@type fun(self: daytona.Git, path: string): string[]?, string|daytona.Error|nil
Git.branches = method(api.branches)

---All commits that lead to what is checked out, the newest first.
---@type fun(self: daytona.Git, path: string): { hash: string, author: string, email: string, message: string, timestamp: string }[]?, daytona.Error?
Git.log = method(api.log)

--- Committing ---------------------------------------------------------------------------

---Stages files; "." is everything. GIT_FILE_NOT_FOUND (kind "not_found") when one
---is not there.
---@type fun(self: daytona.Git, path: string, files: string|string[]): true?, daytona.Error?
Git.add = ordered(method(api.add))

---Commits what is staged, by an author of this name and e-mail address. Hooks do not run,
---nothing is signed. When nothing is staged: GIT_NOTHING_TO_COMMIT (kind "conflict"),
---unless `allow_empty`.
---@type fun(self: daytona.Git, path: string, message: string, author: string, email: string, opts?: { allow_empty?: boolean }): { hash: string }?, daytona.Error?
Git.commit = ordered(method(api.commit))

---Moves the branch (and, as `mode` says, "mixed" by default, index and files) to a
---revision, `target`, or HEAD. `files` are what a mixed one is limited to.
---@type fun(self: daytona.Git, path: string, opts?: { mode?: "soft"|"mixed"|"hard"|"merge"|"keep", target?: string, files?: string|string[] }): true?, daytona.Error?
Git.reset = method(api.reset)

---Takes changes to files back: in the worktree when nothing is said, with
---`staged` in the index, with both in both.
---@type fun(self: daytona.Git, path: string, files: string|string[], opts?: { staged?: boolean, worktree?: boolean, source?: string }): true?, daytona.Error?
Git.restore = ordered(method(api.restore))

--- Branches -----------------------------------------------------------------------------

---Makes a branch where HEAD is, and checks it out. When there is one of that name:
---GIT_BRANCH_EXISTS (kind "conflict").
---@type fun(self: daytona.Git, path: string, name: string): true?, daytona.Error?
Git.create_branch = ordered(method(api.create_branch))

---Deletes a branch, merged or not. kind "not_found" when there is none of that
---name, "conflict" when it is checked out.
---@type fun(self: daytona.Git, path: string, name: string): true?, daytona.Error?
Git.delete_branch = ordered(method(api.delete_branch))

local function dirty(self, name, cause)
  return nil, errors.new {
    kind = "conflict", code = "GIT_DIRTY_WORKTREE", operation = "checkout", what = name, sandbox = self.sandbox,
    cause = cause, status = cause and cause.status, message = "changes to files are in the way",
  }
end

-- Whether tracked files have changes that are not staged.
local function has_changes(status)
  for _, file in ipairs(status.file_status) do
    if file.worktree ~= "Unmodified" and file.worktree ~= "Untracked" then return true end
  end
  return false
end

-- To a branch that is there. What the library of a daemon finds in its way it calls a
-- reference that is not found; before 0.200 it has moved HEAD by then, so it is looked
-- first.
local function go_to_branch(self, path, name)
  local old, err = is_old(self, path)
  if old == nil then return nil, err end
  if old then
    local status
    status, err = api.status(self, { path = path })
    if not status then return nil, err end
    if has_changes(status) then return dirty(self, name) end
  end
  local fine
  fine, err = api.checkout(self, { path = path, branch = name })
  if fine then return true end
  if errors.is(err, "not_found") and err.code ~= "GIT_REPO_NOT_FOUND" then return dirty(self, name, err) end
  return nil, err
end

-- A name that is no local branch may be a tag or another revision; daemons take
-- what they do not know for "master". So it is looked where that led, and gone
-- back from there.
local function go_and_look(self, path, name, current)
  local fine, err = api.checkout(self, { path = path, branch = name })
  if not fine then return nil, err end
  local status
  status, err = api.status(self, { path = path })
  if not status then return nil, err end
  if status.detached or status.current_branch == name then return true end
  if current and current ~= status.current_branch then
    fine, err = api.checkout(self, { path = path, branch = current })
    if not fine then return nil, err end
  end
  return no_branch(self, "checkout", name)
end

---Checks out a branch, or a commit by its hash (and, on servers that know them,
---other revisions). It never ends on another branch than the one asked for. Fails
---with GIT_BRANCH_NOT_FOUND, or GIT_DIRTY_WORKTREE (kind "conflict") when changes are
---in the way: before 0.200 all that are not staged are; later servers may have moved
---HEAD by then all the same.
---@param path string
---@param branch string
---@return true?
---@return daytona.Error?
function Git:checkout(path, branch)
  options.argument("checkout: the path", plain, path)
  options.argument("checkout: the branch", plain, branch)
  local name = branch:gsub("^refs/heads/", "")
  local branches, current = api.branches(self, { path = path })
  if not branches then return nil, current end
  if has(branches, name) then return go_to_branch(self, path, name) end
  local looks_like_hash = #name >= 4 and #name <= 64 and not name:find("%X")
  if looks_like_hash then return api.checkout(self, { path = path, branch = name }) end
  local old, err = is_old(self, path)
  if old == nil then return nil, err end
  if old then return no_branch(self, "checkout", name) end
  return go_and_look(self, path, name, current)
end

Git.checkout = ordered(Git.checkout)

--- Remotes ------------------------------------------------------------------------------

---Pushes a branch (the current one; `remote`: "origin") to the branch of its name.
---Nothing to push is fine. `timeout`: seconds, 600.
---
---Fails with GIT_AUTH_FAILED (kind "auth"), GIT_PUSH_REJECTED ("conflict": pull
---first), GIT_REMOTE_REJECTED ("invalid": a rule over there), GIT_TRANSPORT_FAILED
---("unavailable").
---@type fun(self: daytona.Git, path: string, opts?: { username?: string, password?: string, branch?: string, remote?: string, set_upstream?: boolean, timeout?: number }): true?, daytona.Error?
Git.push = method(api.push)

---Fetches, and takes the current branch forward to what it follows (or to
---`branch`). Only fast forward: histories that have parted are a "conflict".
---
---Servers before 0.200 know the remote's default branch only: there this works on
---"main" and "master", and naming something is an error (kind "unsupported"). `timeout`:
---seconds, 600.
---@type fun(self: daytona.Git, path: string, opts?: { username?: string, password?: string, branch?: string, remote?: string, timeout?: number }): true?, daytona.Error?
Git.pull = method(api.pull)

---The remotes, in order of name; passwords in their URLs are masked.
---@type fun(self: daytona.Git, path: string): { name: string, url: string }[]?, daytona.Error?
Git.remotes = method(api.remotes)

---One remote; kind "not_found" when there is none of that name.
---@param path string
---@param name string
---@return { name: string, url: string }?
---@return daytona.Error?
function Git:get_remote(path, name)
  options.argument("get_remote: the path", plain, path)
  options.argument("get_remote: the name", plain, name)
  local remotes, err = api.remotes(self, { path = path }, { operation = "get_remote" })
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
---@type fun(self: daytona.Git, path: string, name: string, url: string, opts?: { fetch?: boolean, overwrite?: boolean, timeout?: number }): true?, daytona.Error?
Git.add_remote = method(api.add_remote)

--- Configuration ------------------------------------------------------------------------

---A setting, as "user.name"; "" when it is not set. The scope is "global" by default.
---@type fun(self: daytona.Git, key: string, opts?: { scope?: "global"|"local"|"system", path?: string }): string?, daytona.Error?
Git.get_config = method(api.get_config)

---Sets a setting, to anything but "". The scope is "global" by default.
---@type fun(self: daytona.Git, key: string, value: string, opts?: { scope?: "global"|"local"|"system", path?: string }): true?, daytona.Error?
Git.set_config = method(api.set_config)

---Sets the name and the address of who commits with the git program. The scope is
---"global" by default.
---@type fun(self: daytona.Git, name: string, email: string, opts?: { scope?: "global"|"local"|"system", path?: string }): true?, daytona.Error?
Git.configure_user = method(api.configure_user)

---Leaves credentials in the sandbox, for the git program and every program there
---to read: in plain text, in the home directory. The password may be a token; the host is
---"github.com" by default, the protocol "https". `push` and `pull` with credentials need
---none of it.
---@type fun(self: daytona.Git, username: string, password: string, opts?: { host?: string, protocol?: string }): true?, daytona.Error?
Git.authenticate = method(api.authenticate)

methods.guard(Git, "daytona.Git", "sandbox.git")

return M
