-- The set "session": several sandboxes within one conversation, which sees no others. They
-- stop after five idle minutes, and are started again when they are needed.

local base64 = require "daytona.base.base64"
local capture = require "daytona.agent.capture"
local conversation = require "daytona.agent.conversation"
local core = require "daytona.base.native"
local folders = require "daytona.base.folders"
local git_access = require "daytona.agent.git_access"
local json = require "daytona.http.json"
local shape = require "daytona.agent.shape"

local string, integer, boolean, object = shape.string, shape.integer, shape.boolean, shape.object

local READ = { readOnlyHint = true, openWorldHint = false }
local MAKE = { readOnlyHint = false, destructiveHint = false, idempotentHint = false, openWorldHint = true }
local CHANGE = { readOnlyHint = false, destructiveHint = true, idempotentHint = true, openWorldHint = false }
local RUN = { readOnlyHint = false, destructiveHint = true, idempotentHint = false, openWorldHint = true }

local WHICH = { "sandbox_id", string("A sandbox of this session.", { minLength = 1 }) }

local ONE = {
  { "sandbox_id", string() }, { "title?", string() }, { "state", string() }, { "created_at?", integer "since 1970" },
}

--- The session's things ------------------------------------------------------------------

local function of(toolset)
  toolset.conversation = toolset.conversation or conversation.new(toolset)
  return toolset.conversation
end

-- The sandbox that a call is about, started.
local function find(args, call)
  local sandbox, record = of(call.toolset):find(call, args.sandbox_id)
  if not sandbox then return nil, record end
  if sandbox.state == "started" then return sandbox, record end
  local started, err = sandbox:ensure_started()
  if not started then return nil, err end
  return sandbox, record
end

local function storage_of(toolset)
  local folder = toolset.options.storage
  if folder then return folder end
  local data = os.getenv "XDG_DATA_HOME"
  if not data or data == "" then data = (os.getenv "HOME" or ".") .. "/.local/share" end
  return data .. "/daytona/sessions/" .. of(toolset).id
end

-- The local path of a file in the storage folder; nil and why when it is not in there.
local function stored(toolset, name)
  local folder = core.real_path(storage_of(toolset))
  local path = folder and core.real_path(folder .. "/" .. name)
  if not path or path:sub(1, #folder + 1) ~= folder .. "/" or core.file_type(path) ~= "file" then
    return nil, "the session has no file '" .. name .. "'"
  end
  return path, path:sub(#folder + 2)
end

--- Sandboxes ----------------------------------------------------------------------------

local create = {
  name = "daytona_create_sandbox", title = "Create a sandbox", annotations = MAKE,
  description = "Creates a sandbox for this session. It stops after 5 minutes without activity, and starts again when "
    .. "it is used.",
  input = object {
    { "title?", string("What it is for.", { maxLength = 200 }) },
    { "image?", string("Image to make it from, as debian:12.", { minLength = 1 }) },
    { "upload_files?", shape.list(string(nil, { minLength = 1 }), "Files of the session to put into it.") },
  },
  output = object { ONE[1], ONE[2], ONE[3], { "uploaded", shape.list(string()) } },
}

local function put_files(sandbox, files)
  local names = json.array()
  for i, file in ipairs(files) do
    local done, err = sandbox.fs:upload(file.path, file.name)
    if not done then return nil, err end
    names[i] = file.name
  end
  return names
end

function create.run(args, call)
  local files = {}
  for i, name in ipairs(args.upload_files or {}) do
    local path, inside = stored(call.toolset, name)
    if not path then return nil, inside end
    files[i] = { path = path, name = inside }
  end
  local client, err = call:client()
  if not client then return nil, err end
  local sandbox
  sandbox, err = of(call.toolset):create(client, args.title, args.image)
  if not sandbox then return nil, err end
  local uploaded
  uploaded, err = put_files(sandbox, files)
  if not uploaded then return nil, err end
  return { sandbox_id = sandbox.id, title = args.title, state = sandbox.state, uploaded = uploaded }
end

local list = {
  name = "daytona_list_sandboxes", title = "List sandboxes", annotations = READ,
  description = "Lists the sandboxes of this session.",
  output = object { { "sandboxes", shape.list(object(ONE)) } },
}

local errors = require "daytona.base.errors"

local function looked_at(session, client, record)
  local sandbox, err = client:get(record.id)
  if sandbox and not tostring(sandbox.state):find "^destroy" then
    return { sandbox_id = record.id, title = record.title, state = sandbox.state, created_at = record.created_at }
  end
  if sandbox or errors.is(err, "not_found") then
    session:forget(record)
    return nil
  end
  return nil, err
end

function list.run(_, call)
  local client, err = call:client()
  if not client then return nil, err end
  local session = of(call.toolset)
  local records
  records, err = session:records(client)
  if not records then return nil, err end
  local rows = json.array()
  for _, record in ipairs(records) do
    local row, why = looked_at(session, client, record)
    if why then return nil, why end
    rows[#rows + 1] = row
  end
  return { sandboxes = rows }
end

local manage = {
  name = "daytona_manage_sandbox", title = "Stop or delete a sandbox", annotations = CHANGE,
  description = "Stops a sandbox (its files stay), or deletes it with everything in it.",
  input = object { WHICH, { "action", shape.enum { "stop", "delete" } } },
  output = object { { "sandbox_id", string() }, { "state", string() } },
}

function manage.run(args, call)
  local session = of(call.toolset)
  local sandbox, record = session:find(call, args.sandbox_id)
  if not sandbox then return nil, record end
  local fine, err
  if args.action == "stop" then fine, err = sandbox:stop() else fine, err = sandbox:delete() end
  if not fine then return nil, err end
  if args.action == "delete" then session:forget(record) end
  return { sandbox_id = sandbox.id, state = sandbox.state }
end

--- Inside --------------------------------------------------------------------------------------

local exec = {
  name = "daytona_exec", title = "Run a command", annotations = RUN,
  description = "Runs a shell command in a sandbox and waits for its end.",
  input = object {
    WHICH,
    { "command", string("Shell command.", { minLength = 1 }) },
    { "cwd?", string("Directory to run it in.", { minLength = 1 }) },
    { "timeout_ms?", integer("Milliseconds it may run.", { minimum = 1000, maximum = 86400000, default = 60000 }) },
  },
  output = object {
    { "exit_code", integer() }, { "output", string() }, { "truncated?", boolean() }, { "read_more?", string() },
  },
}

function exec.finish(call, sandbox, done)
  local text, cut = call:cap(done.text, "ends", done.file, true)
  if done.timed_out then
    return nil, "it was still running when its time was over, and was ended; give it a longer timeout_ms. "
      .. (text ~= "" and "Until then it printed:\n" .. text or "It had printed nothing.")
  end
  local truncated = cut or done.file ~= nil or nil
  return { exit_code = done.exit_code, output = text, truncated = truncated, read_more = done.file },
    { truncated = truncated, read_more = done.file, sandbox = sandbox.id }
end

function exec.run(args, call)
  local sandbox, err = find(args, call)
  if not sandbox then return nil, err end
  local limits = call.toolset:limits()
  local done
  done, err = capture.run(sandbox, args.command, {
    cwd = args.cwd, timeout = (args.timeout_ms or 60000) / 1000, lines = limits.lines - 10,
    bytes = math.floor(limits.bytes * 0.75), on_line = call.on_progress,
  })
  if not done then return nil, err end
  return exec.finish(call, sandbox, done)
end

local read = {
  name = "daytona_read_file", title = "Read a file", annotations = READ,
  description = "Returns lines of a text file in a sandbox, or a picture.",
  input = object {
    WHICH,
    { "path", string("Path of the file.", { minLength = 1 }) },
    { "offset?", integer("First line, from 1.", { minimum = 1, default = 1 }) },
    { "limit?", integer("How many lines at most.", { minimum = 1 }) },
  },
  output = object {
    { "content", string() }, { "first_line", integer() }, { "last_line", integer() }, { "total_lines", integer() },
  },
}

function read.run(args, call)
  local sandbox, err = find(args, call)
  if not sandbox then return nil, err end
  return require("daytona.agent.sets.coding").part(call, sandbox, args.path, args)
end

local write = {
  name = "daytona_write_file", title = "Write a file", annotations = CHANGE,
  description = "Writes a file in a sandbox, over what is there, making folders as needed.",
  input = object {
    WHICH,
    { "path", string("Path of the file.", { minLength = 1 }) },
    { "content", string "All that is to be in it." },
    { "encoding?", shape.enum({ "utf-8", "base64" }, "Of the content; utf-8 without.") },
  },
  output = object { { "path", string() }, { "size", integer "bytes" } },
}

function write.run(args, call)
  local data = args.encoding == "base64" and base64.decode(args.content) or args.content
  if args.encoding == "base64" and not base64.decode(args.content) then return nil, "content is not valid base64" end
  local sandbox, err = find(args, call)
  if not sandbox then return nil, err end
  local done
  done, err = sandbox.fs:write(args.path, data)
  if not done then return nil, err end
  return { path = args.path, size = #data }
end

local download = {
  name = "daytona_download_workspace", title = "Keep a sandbox's files", annotations = CHANGE,
  description = "Copies a folder of a sandbox into the session's storage on the user's computer.",
  input = object { WHICH, { "path?", string("The folder; the working directory without.", { minLength = 1 }) } },
  output = object { { "folder", string() }, { "files", integer() }, { "bytes", integer() },
    { "skipped", shape.list(string()) } },
}

function download.run(args, call)
  local sandbox, record = find(args, call)
  if not sandbox then return nil, record end
  local from, err = args.path, nil
  if not from then from, err = sandbox:work_dir() end
  if not from then return nil, err end
  local folder = storage_of(call.toolset) .. "/" .. record.name
  folders.make(folder)
  local done
  done, err = sandbox.fs:download_dir(from, folder, {
    on_progress = call.on_progress and function(bytes, total) call:progress("copying", bytes, total) end,
  })
  if not done then return nil, err end
  return { folder = folder, files = done.downloaded + done.unchanged, bytes = done.bytes,
    skipped = json.array(done.skipped) }
end

--- Git -----------------------------------------------------------------------------------------

local clone = {
  name = "daytona_git_clone", title = "Clone a repository", annotations = MAKE,
  description = "Clones a git repository into a sandbox; user/repo is one at GitHub. Private ones need credentials: "
    .. "those of the user's connected GitHub account, or of daytona_git_credentials.",
  input = object {
    WHICH,
    { "repository", string("Address, or user/repo.", { minLength = 1 }) },
    { "path?", string("Where to; its name without.", { minLength = 1 }) },
    { "branch?", string("Branch to check out.", { minLength = 1 }) },
  },
  output = object { { "repository", string() }, { "path", string() } },
}

function clone.run(args, call)
  local address, given = git_access.address(args.repository)
  if not address then return nil, given end
  if given then call.toolset:keep_secret(given.token) end
  local sandbox, err = find(args, call)
  if not sandbox then return nil, err end
  given = given or git_access.is_github(address) and git_access.connected(call.toolset.options.secrets)
  if given then
    local fine, why = git_access.approve(sandbox, given)
    if not fine then return nil, why end
  end
  local path
  path, err = git_access.clone(sandbox, address, args.path, args.branch)
  if not path then return nil, err end
  return { repository = address, path = path }
end

local credentials = {
  name = "daytona_git_credentials", title = "Give git credentials", annotations = CHANGE,
  description = "Lets git in a sandbox push, pull and fetch with a token, until the sandbox stops. The token is shown "
    .. "nowhere. Without one, the user's connected GitHub account is taken.",
  input = object {
    WHICH,
    { "token?", shape.secret "Password or access token." },
    { "username?", string("Any will do for a token of GitHub's.", { minLength = 1 }) },
    { "host?", string("github.com without.", { minLength = 1 }) },
    { "protocol?", shape.enum { "https", "http" } },
  },
  output = object { { "host", string() }, { "username", string() } },
}

function credentials.run(args, call)
  local one = git_access.connected(call.toolset.options.secrets)
  if args.token then
    one = { token = args.token, username = args.username or "x-access-token", host = args.host or "github.com",
      protocol = args.protocol or "https" }
    call.toolset:keep_secret(args.token)
  end
  if not one then return nil, "there is no connected GitHub account: token is required" end
  if one.host:find "[^%w.:%[%]-]" then return nil, "host is a name, with a port perhaps, and nothing else" end
  local sandbox, err = find(args, call)
  if not sandbox then return nil, err end
  local fine
  fine, err = git_access.approve(sandbox, one)
  if not fine then return nil, err end
  return { host = one.host, username = one.username }
end

local M = {}

---@return daytona.Tool[]
function M.tools()
  return { create, exec, read, write, download, list, manage, clone, credentials }
end

return M
