-- The set "daytona": the names and arguments of the official MCP server, 39 tools, so that
-- who has that in a configuration needs to change the command alone.

local base64 = require "daytona.base.base64"
local capture = require "daytona.agent.capture"
local desktop = require "daytona.agent.desktop"
local mime = require "daytona.agent.mime"
local names = require "daytona.http.names"
local operations = require "daytona.agent.sets.operations"
local redact = require "daytona.base.redact"
local shape = require "daytona.agent.shape"

local string, integer, boolean, object = shape.string, shape.integer, shape.boolean, shape.object

local READ = { readOnlyHint = true, openWorldHint = false }
local MAKE = { readOnlyHint = false, destructiveHint = false, idempotentHint = false, openWorldHint = true }
local CHANGE = { readOnlyHint = false, destructiveHint = true, idempotentHint = true, openWorldHint = false }
local RUN = { readOnlyHint = false, destructiveHint = true, idempotentHint = false, openWorldHint = true }

local ID = { "id", string("ID of the sandbox.", { minLength = 1 }) }
local FILE_PATH = { "filePath", string("Path of the file.", { minLength = 1 }) }
local SANDBOX = object(operations.FIELDS)

local function find(args, call) return call:sandbox(args.id) end

-- A tool that works in a sandbox.
local function inside(fields)
  local run = fields.run
  fields.takes_api_key = true
  function fields.run(args, call)
    local sandbox, err = find(args, call)
    if not sandbox then return nil, err end
    return run(sandbox, args, call)
  end
  return fields
end

--- Sandboxes --------------------------------------------------------------------------------

local create = {
  name = "create_sandbox", title = "Create a sandbox", annotations = MAKE, takes_api_key = true,
  description = "Creates a sandbox, or starts the one of that id. Returns its id, which the other tools need.",
  input = object {
    { "id?", string "ID of a sandbox that is there." },
    { "name?", string("Name.", { minLength = 1 }) }, { "target?", string "Region." },
    { "snapshot?", string "Snapshot to make it from." }, { "user?", string "User that commands run as." },
    { "env?", shape.map "Environment variables." }, { "labels?", shape.map "Labels." },
    { "public?", boolean "Previews need no token." },
    { "cpu?", integer("Processors.", { minimum = 1, maximum = 4 }) },
    { "gpu?", integer("GPUs.", { minimum = 0, maximum = 1 }) },
    { "memory?", integer("GB of memory.", { minimum = 1, maximum = 8 }) },
    { "disk?", integer("GB of disk.", { minimum = 1, maximum = 10 }) },
    { "autoStopInterval?", integer("Minutes; 0 never.", { minimum = 0, default = 15 }) },
    { "ttlMinutes?", integer("Minutes until it is deleted in any case.", { minimum = 0 }) },
    { "autoPauseInterval?", integer("Minutes; 0 never.", { minimum = 0 }) },
    { "autoArchiveInterval?", integer("Minutes; 0 as late as possible.", { minimum = 0, default = 10080 }) },
    { "autoDeleteInterval?", integer("Minutes; negative never.", { default = -1 }) },
    { "volumes?", shape.list(object {
      { "volumeId", string() }, { "mountPath", string() }, { "subpath?", string() } }, "Volumes to mount.") },
    { "networkBlockAll?", boolean "No network." }, { "networkAllowList?", string "Networks that are allowed." },
  },
  output = object { { "sandbox", SANDBOX } },
}

function create.run(args, call)
  local client, err = call:client()
  if not client then return nil, err end
  local sandbox
  if args.id and args.id ~= "" then
    sandbox, err = client:get(args.id)
    if sandbox then sandbox, err = sandbox:ensure_started() end
  else
    local opts = { owned = false } -- whoever calls decides on its end, perhaps days later
    for name, value in pairs(args) do
      opts[names.snake_name(name)] = name == "volumes" and names.to_lua(value) or value
    end
    opts.id = nil
    sandbox, err = client:create(opts)
  end
  if not sandbox then return nil, err end
  return { sandbox = operations.shown(sandbox) }
end

local destroy = {
  name = "destroy_sandbox", title = "Delete a sandbox", annotations = CHANGE, takes_api_key = true,
  description = "Deletes a sandbox with everything in it.", input = object { ID },
  output = object { { "id", string() }, { "deleted", boolean() } },
}

function destroy.run(args, call)
  local client, err = call:client()
  if not client then return nil, err end
  local fine
  fine, err = client:delete(args.id)
  if not fine then return nil, err end
  return { id = args.id, deleted = true }
end

--- Files --------------------------------------------------------------------------------------

local upload = inside {
  name = "file_upload", title = "Upload a file", annotations = CHANGE, description = "Writes a file in a sandbox.",
  input = object {
    ID, FILE_PATH, { "content", string "Content." },
    { "encoding", shape.enum({ "text", "base64" }, "Of the content.") },
    { "overwrite", boolean "Whether a file that is there is replaced." },
  },
  output = object { { "filePath", string() }, { "size", integer "bytes" } },
  run = function(sandbox, args)
    local data = args.content
    if args.encoding == "base64" then data = base64.decode(data) end
    if not data then return nil, "content is not valid base64" end
    if not args.overwrite then
      local there, err = sandbox.fs:exists(args.filePath)
      if there == nil then return nil, err end
      if there then return nil, "there is such a file already, and overwrite is false" end
    end
    local done, err = sandbox.fs:write(args.filePath, data)
    if not done then return nil, err end
    return { filePath = args.filePath, size = #data }
  end,
}

local download = inside {
  name = "file_download", title = "Download a file", annotations = READ,
  description = "Returns the content of a file: text, or base64 of what is none; of a large one its beginning.",
  input = object { ID, FILE_PATH },
  output = object {
    { "content", string() }, { "encoding", shape.enum { "text", "base64" } }, { "mimeType", string() },
    { "size", integer "bytes of the whole file" },
  },
  run = function(sandbox, args, call)
    local info, err = sandbox.fs:stat(args.filePath)
    if not info then return nil, err end
    if info.is_dir then return nil, "filePath is a folder" end
    local most = math.floor(call.toolset:limits().bytes / 2)
    local data
    data, err = sandbox.fs:read(args.filePath, info.size > most and { offset = 0, length = most } or nil)
    if not data then return nil, err end
    local kind = mime.of(args.filePath:match "[^/]*$", data)
    local cut = info.size > #data
    local is_text = not data:find("\0", 1, true) and require("daytona.base.native").is_utf8(data:sub(1, -5))
    local content = is_text and call:cap(data, "head", args.filePath, true) or base64.encode(data)
    return { content = content, encoding = is_text and "text" or "base64", mimeType = kind, size = info.size },
      { truncated = cut, read_more = cut and args.filePath or nil, sandbox = sandbox.id }
  end,
}

local INFO = object {
  { "name", string() }, { "isDir", boolean() }, { "size", integer "bytes" }, { "mode", string() },
  { "permissions", string() }, { "owner", string() }, { "group", string() }, { "modifiedAt", string() },
}

local function told(info)
  return { name = info.name, isDir = info.is_dir, size = info.size, mode = info.mode, permissions = info.permissions,
    owner = info.owner, group = info.group, modifiedAt = info.modified_at }
end

local file_info = inside {
  name = "get_file_info", title = "Look at a file", annotations = READ,
  description = "Tells size, owner and permissions of a file or folder.",
  input = object { ID, FILE_PATH }, output = INFO,
  run = function(sandbox, args)
    local info, err = sandbox.fs:stat(args.filePath)
    if not info then return nil, err end
    return told(info)
  end,
}

-- The same as the operations' tool, under another name of the sandbox.
local function borrowed(name, from, fields)
  local original
  for _, tool in ipairs(operations.tools()) do
    if tool.name == from then original = tool end
  end
  local run = original.run
  return {
    name = name, title = original.title, annotations = original.annotations, description = original.description,
    input = object(fields), output = original.output, takes_api_key = true,
    run = function(args, call)
      local copy = { sandboxId = args.id }
      for key, value in pairs(args) do
        if key ~= "id" then copy[key] = value end
      end
      return run(copy, call)
    end,
  }
end

local list_files = borrowed("list_files", "daytona_list_files", { ID, { "path?", string "Folder." } })

local move = inside {
  name = "move_file", title = "Move a file", annotations = CHANGE, description = "Renames a file or folder.",
  input = object {
    ID, { "sourcePath", string("From.", { minLength = 1 }) }, { "destPath", string("To.", { minLength = 1 }) },
  },
  output = object { { "sourcePath", string() }, { "destPath", string() } },
  run = function(sandbox, args)
    local fine, err = sandbox.fs:move(args.sourcePath, args.destPath)
    if not fine then return nil, err end
    return { sourcePath = args.sourcePath, destPath = args.destPath }
  end,
}

local delete = inside {
  name = "delete_file", title = "Delete a file", annotations = CHANGE,
  description = "Deletes a file, or a folder with all in it.",
  input = object { ID, FILE_PATH }, output = object { { "filePath", string() } },
  run = function(sandbox, args)
    local fine, err = sandbox.fs:remove(args.filePath, { recursive = true })
    if not fine then return nil, err end
    return { filePath = args.filePath }
  end,
}

local create_folder = inside {
  name = "create_folder", title = "Make a folder", annotations = CHANGE,
  description = "Makes a folder and those above it.",
  input = object { ID, { "folderPath", string("Path.", { minLength = 1 }) },
    { "mode?", string("Permissions, as 0755.", { minLength = 3, maxLength = 4 }) } },
  output = object { { "folderPath", string() } },
  run = function(sandbox, args)
    local fine, err = sandbox.fs:mkdir(args.folderPath, { mode = args.mode })
    if not fine then return nil, err end
    return { folderPath = args.folderPath }
  end,
}

--- Commands, ports, repositories ----------------------------------------------------------------

local execute = borrowed("execute_command", "daytona_execute_command", {
  ID, { "command", string("Shell command.", { minLength = 1 }) } })

-- The official one knows no limit; ten seconds would be a change.
local run_command = execute.run
function execute.run(args, call)
  args.timeout = 600
  return run_command(args, call)
end
execute.annotations = RUN

local CHECK = "curl -s -o /dev/null -m 10 http://127.0.0.1:%d/ || nc -z 127.0.0.1 %d"

local preview = inside {
  name = "preview_link", title = "Address of a port", annotations = { readOnlyHint = true, openWorldHint = true },
  description = "Returns an address under which a port of the sandbox is reached.",
  input = object {
    ID, { "port", integer("Port.", { minimum = 1, maximum = 65535 }) },
    { "description", string "What is there." },
    { "checkServer", boolean "Whether to see first that something answers there." },
  },
  output = object { { "port", integer() }, { "url", string() }, { "description", string() } },
  run = function(sandbox, args)
    if args.checkServer then
      local checked, err = capture.run(sandbox, CHECK:format(args.port, args.port), { timeout = 15 })
      if not checked then return nil, err end
      if checked.exit_code ~= 0 then return nil, ("nothing answers on port %d"):format(args.port) end
    end
    local link, err = sandbox:preview_url(args.port, { signed = true, expires_in = 3600 })
    if not link then return nil, err end
    return { port = args.port, url = link.url, description = redact(args.description) }
  end,
}

local clone = borrowed("git_clone", "daytona_git_clone", {
  ID, { "url", string("Address of the repository.", { minLength = 1 }) },
  { "path?", string("Where to.", { minLength = 1 }) }, { "branch?", string("Branch.", { minLength = 1 }) },
  { "commitId?", string("Commit.", { minLength = 1 }) }, { "username?", string "For private ones." },
  { "password?", shape.secret "Password or token for private ones." },
})

local M = {}

---@return daytona.Tool[]
function M.tools()
  local list = {
    create, destroy, upload, download, file_info, list_files, move, delete, create_folder, execute, preview, clone,
  }
  for _, row in ipairs(desktop.ROWS) do
    list[#list + 1] = desktop.tool(row, "computer_use_", { ID }, false, find)
  end
  return list
end

return M
