-- A git checkout on this computer and its copy in the sandbox: commits go there and come
-- back as bundles, so that neither side needs an account of the other. What comes back is
-- a branch of its own; the files of the checkout are not touched.
--
-- The only file of the kit that runs a program on this computer: git, by its shell.

local shape = require "daytona.agent.shape"
local shell = require "daytona.base.shell"

local M = {}

-- Where the copy is, from the working directory; a bundle on its way.
local COPY, BUNDLE = "project", "/tmp/.daytona-sync.bundle"

-- Runs git here; what it printed, or nil and that.
local function git(folder, ...)
  local pipe = io.popen(shell.join { "git", "-C", folder, ... } .. " 2>&1; s=$?; echo; echo $s")
  local text = pipe:read "*a"
  pipe:close()
  local said, status = text:match "^(.-)\n?(%d+)\n$"
  if status == "0" then return said end
  return nil, "git said here: " .. (said or text)
end

local function inside(sandbox, script)
  local result, err = sandbox:exec(script, { timeout = 300 })
  if not result then return nil, err end
  if result.exit_code ~= 0 then return nil, "git said in the sandbox: " .. result.result end
  return result.result
end

-- With a name for a local file that is removed afterwards.
local function with_bundle(fn)
  local file = os.tmpname()
  local data, more = fn(file)
  os.remove(file)
  return data, more
end

local UP = [[set -e; export GIT_TERMINAL_PROMPT=0
if [ -e %s/.git ]; then cd %s; git pull -q --ff-only %s HEAD; else git clone -q %s %s; cd %s; fi
rm -f %s; git rev-parse HEAD]]

local function up(sandbox, folder)
  return with_bundle(function(file)
    local fine, err = git(folder, "bundle", "create", file, "HEAD")
    if fine then fine, err = sandbox.fs:upload(file, BUNDLE) end
    local commit
    if fine then commit, err = inside(sandbox, UP:format(COPY, COPY, BUNDLE, BUNDLE, COPY, COPY, BUNDLE)) end
    if not commit then return nil, err end
    commit = commit:match "%x+%s*$":gsub("%s", "")
    return { commit = commit, folder = COPY },
      { text = ("the checkout is in %s, at %s"):format(COPY, commit:sub(1, 12)) }
  end)
end

local DOWN = [[set -e; cd %s; git add -A
git diff --cached --quiet || git -c user.name=%s -c user.email=%s commit -q -m %s
git bundle create %s HEAD >/dev/null 2>&1; git rev-parse HEAD]]

local function author(folder)
  return shell.quote(git(folder, "config", "user.name") or "daytona"),
    shell.quote(git(folder, "config", "user.email") or "daytona@localhost")
end

local function down(sandbox, folder, message)
  local name, email = author(folder)
  local commit, err = inside(sandbox, DOWN:format(COPY, name, email, shell.quote(message), BUNDLE))
  if not commit then return nil, err end
  commit = commit:match "%x+%s*$":gsub("%s", "")
  return with_bundle(function(file)
    local branch = "daytona/" .. (sandbox.name or sandbox.id):gsub("[^%w._-]", "-")
    local fine, why = sandbox.fs:download(BUNDLE, file)
    if fine then fine, why = git(folder, "fetch", "-q", file, "+HEAD:refs/heads/" .. branch) end
    if not fine then return nil, why end
    return { commit = commit, branch = branch },
      { text = ("the work is on the branch %s of the user's checkout, at %s"):format(branch, commit:sub(1, 12)) }
  end)
end

---The tool "git_sync" for a checkout.
---@param folder string
---@return daytona.Tool
function M.tool(folder)
  return {
    name = "git_sync", title = "Sync with the user's checkout",
    annotations = { readOnlyHint = false, destructiveHint = false, idempotentHint = true, openWorldHint = false },
    description = "Brings the user's git checkout into the sandbox as the folder '" .. COPY .. "' (direction up), or "
      .. "what was done there back as a branch of the checkout (down; what is not committed is committed first).",
    input = shape.object {
      { "direction", shape.enum({ "up", "down" }, "up first.") },
      { "message?", shape.string("Of the commit, with down.", { minLength = 1 }) },
    },
    output = shape.object {
      { "commit", shape.string() }, { "folder?", shape.string() }, { "branch?", shape.string() },
    },
    run = function(args, call)
      local sandbox, err = call:home()
      if not sandbox then return nil, err end
      if args.direction == "up" then return up(sandbox, folder) end
      return down(sandbox, folder, args.message or "Work in a sandbox")
    end,
  }
end

return M
