--- The git calls: /git/...

local json = require "daytona.devserver.http.json"
local environment = require "daytona.devserver.toolbox.environment"
local failures = require "daytona.devserver.toolbox.failures"
local fields = require "daytona.devserver.toolbox.fields"
local files = require "daytona.devserver.toolbox.files"
local git = require "daytona.devserver.toolbox.git"
local paths = require "daytona.devserver.toolbox.paths"
local sys = require "daytona.devserver.toolbox.sys"
local text = require "daytona.devserver.toolbox.text"
local version = require "daytona.devserver.toolbox.version"

local calls = {}

-- A name that git could take for an option.
local function check_name(name, what)
  if name and name:sub(1, 1) == "-" then
    failures.raise(400, ("invalid %s: %s"):format(what, name))
  end
end

-- The repository at a path, "~" being the home directory.
local function repository(path)
  if path == "~" or path:sub(1, 2) == "~/" then
    path = environment.get "HOME" .. path:sub(2)
  end
  if not git.is_repository(path) then
    failures.code(404, "GIT_REPO_NOT_FOUND", "repository does not exist")
  end
  return path
end

local function queried_repository(req)
  return repository(paths.required(req, "path"))
end

local function has_commits(path)
  return git.run({ path = path }, "rev-parse", "--verify", "--quiet", "HEAD") == 0
end

local function need_commits(path)
  if not has_commits(path) then failures.raise(404, "reference not found") end
end

-- Runs git with a list of paths, taken as they are, of any number.
local function with_files(path, list, ...)
  return git.run({ path = path, input = table.concat(list, "\0") .. "\0" }, "--literal-pathspecs", ...)
end

local FILES_FROM = "--pathspec-from-file=-"
local NUL = "--pathspec-file-nul"

-- The branch that is checked out; nil when none is.
local function current_branch(path)
  local code, out = git.run({ path = path }, "symbolic-ref", "--quiet", "--short", "HEAD")
  return code == 0 and out:match "[^\n]+" or nil
end

-- Clone --------------------------------------------------------------------

-- Undoes a clone into a folder that was not there before.
local function discard(path, existed)
  if not existed then files.remove_tree(path) end
end

local function clone_arguments(f)
  local arguments = { "clone", "--quiet", "--single-branch" }
  if git.given(f.branch) then
    arguments[#arguments + 1] = "--branch=" .. f.branch:gsub("^refs/heads/", "")
  end
  if f.depth and f.depth > 0 and not git.legacy then
    arguments[#arguments + 1] = ("--depth=%d"):format(f.depth)
    arguments[#arguments + 1] = "--no-local"
  end
  arguments[#arguments + 1] = "--"
  arguments[#arguments + 1] = f.url
  arguments[#arguments + 1] = f.path
  return arguments
end

--- POST /git/clone
function calls.clone(req)
  local f = fields.read(req, {
    url = "string!", path = "string!", branch = "string", commit_id = "string",
    username = "string", password = "string", insecure_skip_tls = "boolean", depth = "uint32",
  })
  if git.is_repository(f.path) then
    failures.raise(409, "repository already exists")
  end
  local existed = sys.stat(f.path) ~= nil
  git.must({ username = f.username, password = f.password, insecure = f.insecure_skip_tls },
    unpack(clone_arguments(f)))
  if not has_commits(f.path) then
    discard(f.path, existed)
    failures.raise(404, "remote repository is empty")
  end
  if git.given(f.commit_id) then
    local code, _, err = git.run({ path = f.path }, "checkout", "--quiet", "--detach", f.commit_id, "--")
    if code ~= 0 then
      discard(f.path, existed)
      git.fail(err)
    end
  end
  return 200
end

--- POST /git/init
function calls.init(req)
  local f = fields.read(req, { path = "string!", bare = "boolean", initial_branch = "string" })
  if git.is_repository(f.path) then failures.raise(409, "repository already exists") end
  local arguments = { "init", "--quiet" }
  if f.bare then arguments[#arguments + 1] = "--bare" end
  if git.given(f.initial_branch) then
    arguments[#arguments + 1] = "--initial-branch=" .. f.initial_branch
  end
  arguments[#arguments + 1] = "--"
  arguments[#arguments + 1] = f.path
  git.must({}, unpack(arguments))
  return 201
end

-- Changes ------------------------------------------------------------------

--- POST /git/add
function calls.add(req)
  local f = fields.read(req, { path = "string!", files = "strings!" })
  local path = repository(f.path)
  if not f.files[1] then
    if git.legacy then return 200 end
    failures.raise(400, "files is required")
  end
  local code, _, err = with_files(path, f.files, "add", "-A", FILES_FROM, NUL)
  if code ~= 0 then
    if err:find("did not match any files", 1, true) then failures.raise_bare(500, "entry not found") end
    git.fail(err)
  end
  return 200
end

--- POST /git/commit
function calls.commit(req)
  local f = fields.read(req, {
    path = "string!", message = "string!", author = "string!", email = "string!",
    allow_empty = "boolean",
  })
  local path = repository(f.path)
  local code, out, err = git.run({ path = path, input = f.message, envs = {
    GIT_AUTHOR_NAME = f.author, GIT_AUTHOR_EMAIL = f.email,
    GIT_COMMITTER_NAME = f.author, GIT_COMMITTER_EMAIL = f.email,
  } }, "-c", "commit.gpgSign=false", "-c", "core.hooksPath=/dev/null", "commit", "--quiet",
    "--no-verify", "--cleanup=verbatim", "--file=-", f.allow_empty and "--allow-empty" or nil)
  if code ~= 0 then
    if err == "" then failures.raise_bare(500, "cannot create empty commit: clean working tree") end
    git.fail(err ~= "" and err or out)
  end
  return 200, { hash = git.must({ path = path }, "rev-parse", "HEAD"):match "%x+" }
end

local WORD = {
  ["."] = "Unmodified", ["?"] = "Untracked", M = "Modified", A = "Added", D = "Deleted",
  R = "Renamed", C = "Copied", U = "Updated but unmerged", T = "Modified",
}

-- The next changed file in the output of `git status --porcelain=v2 -z`; the
-- old name of a renamed one is a record of its own.
local function changed_file(record, next_record)
  local kind = record:sub(1, 1)
  if kind == "?" then
    return { name = record:sub(3), extra = "", staging = "Untracked", worktree = "Untracked" }
  end
  local columns = { ["1"] = 8, ["2"] = 9, u = 10 }
  if not columns[kind] then return nil end
  local index, tree = record:match "^. (.)(.)"
  local name = record:match("^" .. ("%S+ "):rep(columns[kind]) .. "(.*)$")
  return { name = name, extra = kind == "2" and next_record() or "",
           staging = WORD[index], worktree = WORD[tree] }
end

--- GET /git/status
function calls.status(req)
  local path = queried_repository(req)
  need_commits(path)
  local out = git.must({ path = path }, "status", "--porcelain=v2", "-z", "--branch",
    "--untracked-files=all", git.legacy and "--no-renames" or nil)
  local status = { fileStatus = json.array {}, branchPublished = false, ahead = 0, behind = 0,
                   detached = false }
  local next_record = out:gmatch "([^%z]+)%z"
  for record in next_record do
    local header, value = record:match "^# branch%.(%S+) (.*)$"
    if header == "head" then
      status.detached = value == "(detached)"
      status.currentBranch = status.detached and "HEAD" or text.utf8(value)
    elseif header == "upstream" then
      status.upstream = text.utf8(value)
    elseif header == "ab" then
      local ahead, behind = value:match "%+(%d+) %-(%d+)"
      status.ahead, status.behind = tonumber(ahead), tonumber(behind)
      status.branchPublished = true
    else
      local file = changed_file(record, next_record)
      if file then
        file.name, file.extra = text.utf8(file.name), text.utf8(file.extra)
        table.insert(status.fileStatus, file)
      end
    end
  end
  if git.legacy or version.decodes_strictly(req) then status.detached, status.upstream = nil, nil end
  return 200, status
end

-- Branches -----------------------------------------------------------------

--- GET /git/branches
function calls.branches(req)
  local path = queried_repository(req)
  local out = git.must({ path = path }, "for-each-ref", "--format=%(refname:short)", "refs/heads")
  local names = json.array {}
  for name in out:gmatch "[^\n]+" do names[#names + 1] = text.utf8(name) end
  if req.app.legacy then
    return 200, { branches = names[1] and names or json.null }
  end
  local current = not version.decodes_strictly(req) and current_branch(path) or nil
  return 200, { branches = names, current = current }
end

--- POST /git/branches
function calls.create_branch(req)
  local f = fields.read(req, { path = "string!", name = "string!" })
  check_name(f.name, "branch")
  local path = repository(f.path)
  if git.legacy then need_commits(path) end
  git.must({ path = path }, "checkout", "--quiet", "-b", f.name)
  return 201
end

--- DELETE /git/branches
function calls.delete_branch(req)
  local f = fields.read(req, { path = "string!", name = "string!" })
  local path = repository(f.path)
  if req.app.legacy then          -- any, also one that is not there
    git.run({ path = path }, "update-ref", "-d", "refs/heads/" .. f.name)
    return 204
  end
  local code, _, err = git.run({ path = path }, "branch", "-D", "--", f.name)
  if code ~= 0 then
    if err:find("Cannot delete branch", 1, true) or err:find("used by worktree", 1, true) then
      failures.raise(400, "cannot delete the branch that is checked out: " .. f.name)
    end
    git.fail(err)
  end
  return 204
end

--- POST /git/checkout
function calls.checkout(req)
  local f = fields.read(req, { path = "string!", branch = "string!" })
  check_name(f.branch, "branch")
  local path, target = repository(f.path), f.branch
  -- what an old daemon does not know, it takes for this branch
  if req.app.legacy and target:find "%X" and git.run({ path = path }, "rev-parse", "-q", "--verify", target) ~= 0
    and git.run({ path = path }, "rev-parse", "-q", "--verify", "refs/heads/master") == 0 then
    target = "master"
  end
  local code, out, err = git.run({ path = path }, "checkout", "--quiet", "--no-guess", target, "--")
  if code == 0 then return 200 end
  if git.legacy and err:find("would be overwritten", 1, true) then   -- HEAD has moved when it notices
    git.run({ path = path }, "symbolic-ref", "HEAD", "refs/heads/" .. target)
    failures.raise(404, ("failed to checkout branch or commit '%s': reference not found"):format(target))
  end
  git.fail(err ~= "" and err or out)
end

-- Remotes ------------------------------------------------------------------

local function remote_options(f)
  check_name(f.remote, "remote")
  check_name(f.branch, "branch")
  return { path = repository(f.path), username = f.username, password = f.password }
end

local REMOTE_FIELDS = {
  path = "string!", username = "string", password = "string", branch = "string",
  remote = "string", set_upstream = "boolean",
}

--- POST /git/pull
function calls.pull(req)
  local f = fields.read(req, REMOTE_FIELDS)
  local options = remote_options(f)
  local arguments = { "pull", "--quiet", "--ff-only" }
  local follows = not req.app.legacy and not git.given(f.branch) and not git.given(f.remote)
    and git.run(options, "rev-parse", "--quiet", "--verify", "@{upstream}") == 0
  if not follows then           -- the remote's own default, as the service does it
    arguments[#arguments + 1] = git.given(f.remote) and f.remote or "origin"
    arguments[#arguments + 1] = git.given(f.branch) and f.branch or "HEAD"
  end
  git.must(options, unpack(arguments))
  return 200
end

--- POST /git/push
function calls.push(req)
  local f = fields.read(req, REMOTE_FIELDS)
  local options = remote_options(f)
  local branch = git.given(f.branch) and f.branch or current_branch(options.path)
  if not branch then failures.raise(git.legacy and 500 or 400, "HEAD is detached: there is no branch to push") end
  local ref = "refs/heads/" .. branch:gsub("^refs/heads/", "")
  local arguments = { "push", "--quiet" }
  if f.set_upstream then arguments[#arguments + 1] = "--set-upstream" end
  arguments[#arguments + 1] = git.given(f.remote) and f.remote or "origin"
  arguments[#arguments + 1] = ref .. ":" .. ref
  git.must(options, unpack(arguments))
  return 200
end

--- GET /git/remotes
function calls.remotes(req)
  local path = queried_repository(req)
  local _, out = git.run({ path = path }, "config", "--local", "-z", "--get-regexp", "^remote\\..*\\.url$")
  local list = json.array {}
  for name, url in out:gmatch "remote%.([^\n]*)%.url\n([^%z]*)%z" do
    list[#list + 1] = { name = text.utf8(name), url = git.masked(text.utf8(url)) }
  end
  return 200, { remotes = list }
end

--- POST /git/remotes
function calls.add_remote(req)
  local f = fields.read(req, {
    path = "string!", name = "string!", url = "string!", fetch = "boolean", overwrite = "boolean",
  })
  check_name(f.name, "remote")
  local options = { path = repository(f.path) }
  if git.run(options, "config", "--local", "--get", "remote." .. f.name .. ".url") == 0 then
    if not f.overwrite then failures.raise(409, "remote already exists: " .. f.name) end
    git.must(options, "remote", "remove", f.name)
  end
  git.must(options, "remote", "add", "--", f.name, f.url)
  if f.fetch then git.must(options, "fetch", "--quiet", f.name) end
  return 201
end

-- History ------------------------------------------------------------------

--- GET /git/history
function calls.history(req)
  local path = queried_repository(req)
  need_commits(path)
  local out = git.must({ path = path }, "log", "-z", "--format=%H%n%an%n%ae%n%aI%n%B")
  local list = json.array {}
  for record in out:gmatch "([^%z]+)" do
    local hash, author, email, time, message =
      text.utf8(record):match "^(%x+)\n([^\n]*)\n([^\n]*)\n([^\n]*)\n(.*)$"
    list[#list + 1] = { hash = hash, author = author, email = email, message = message,
                        timestamp = time:gsub("%+00:00$", "Z") }
  end
  return 200, list
end

local MODES = { soft = true, mixed = true, hard = true, merge = true, keep = true }

--- POST /git/reset
function calls.reset(req)
  local f = fields.read(req, { path = "string!", mode = "string", target = "string", files = "strings" })
  local mode = git.given(f.mode) and f.mode or "mixed"
  if not MODES[mode] then failures.raise(400, "unknown reset mode: " .. mode) end
  check_name(f.target, "target")
  local target = git.given(f.target) and f.target or "HEAD"
  local options = { path = repository(f.path) }
  if f.files and f.files[1] then
    local code, _, err = with_files(options.path, f.files, "reset", "--quiet", FILES_FROM, NUL, target)
    if code ~= 0 then git.fail(err) end
  else
    git.must(options, "reset", "--quiet", "--" .. mode, target, "--")
  end
  return 200
end

--- POST /git/restore
function calls.restore(req)
  local f = fields.read(req, {
    path = "string!", files = "strings!", staged = "boolean", worktree = "boolean", source = "string",
  })
  local path = repository(f.path)
  if not f.files[1] then failures.raise(400, "files is required") end
  if f.staged == false and f.worktree == false then
    failures.raise(400, "neither the index nor the worktree is to be restored")
  end
  local arguments = { "restore", FILES_FROM, NUL }
  if f.staged then arguments[#arguments + 1] = "--staged" end
  if f.worktree or not f.staged then arguments[#arguments + 1] = "--worktree" end
  if git.given(f.source) then arguments[#arguments + 1] = "--source=" .. f.source end
  local code, _, err = with_files(path, f.files, unpack(arguments))
  if code ~= 0 then git.fail(err) end
  return 200
end

-- Configuration ------------------------------------------------------------

local SCOPES = { global = true, ["local"] = true, system = true }

-- The options and the flag for a scope.
local function scope_of(given, path)
  local scope = git.given(given) and given or "global"
  if not SCOPES[scope] then failures.raise(400, "unknown config scope: " .. scope) end
  if scope ~= "local" then return {}, "--" .. scope end
  if not git.given(path) then failures.raise(400, "path is required for the local scope") end
  return { path = repository(path) }, "--local"
end

--- GET /git/config
function calls.get_config(req)
  local key = req.query.key
  if not git.given(key) then failures.raise(400, "key is required") end
  local options, flag = scope_of(req.query.scope, req.query.path)
  local code, out, err = git.run(options, "config", flag, "-z", "--get", "--", key)
  if code > 1 or err ~= "" then git.fail(err) end
  return 200, { value = code == 0 and text.utf8((out:gsub("%z$", ""))) or nil }
end

local function set_config(f, key, value)
  local options, flag = scope_of(f.scope, f.path)
  git.must(options, "config", flag, "--", key, value)
end

--- POST /git/config
function calls.set_config(req)
  local f = fields.read(req, { key = "string!", value = "string!", scope = "string", path = "string" })
  set_config(f, f.key, f.value)
  return 200
end

--- POST /git/config/user
function calls.configure_user(req)
  local f = fields.read(req, { name = "string!", email = "string!", scope = "string", path = "string" })
  set_config(f, "user.name", f.name)
  set_config(f, "user.email", f.email)
  return 200
end

--- POST /git/credentials: kept in plain text, as the service does it
function calls.credentials(req)
  local f = fields.read(req, {
    username = "string!", password = "string!", host = "string", protocol = "string",
  })
  for name, value in pairs(f) do
    if value:find "[\n%z]" then failures.raise(400, name .. " must not contain a newline or NUL") end
  end
  git.must({}, "config", "--global", "credential.helper", "store")
  git.must({ input = ("protocol=%s\nhost=%s\nusername=%s\npassword=%s\n\n"):format(
    git.given(f.protocol) and f.protocol or "https", git.given(f.host) and f.host or "github.com",
    f.username, f.password) }, "credential", "approve")
  return 200
end

return calls
