-- The set "operations": sandboxes, commands, code, files and repositories, a tool each.
-- Names and fields are as such integrations publish them, in camelCase.

local base64 = require "daytona.base.base64"
local capture = require "daytona.agent.capture"
local core = require "daytona.base.native"
local json = require "daytona.http.json"
local ordered = require "daytona.http.ordered_json"
local names = require "daytona.http.names"
local shape = require "daytona.agent.shape"

local string, integer, boolean, object = shape.string, shape.integer, shape.boolean, shape.object

local READ = { readOnlyHint = true, openWorldHint = false }
local MAKE = { readOnlyHint = false, destructiveHint = false, idempotentHint = false, openWorldHint = true }
local CHANGE = { readOnlyHint = false, destructiveHint = false, idempotentHint = true, openWorldHint = false }
local DESTROY = { readOnlyHint = false, destructiveHint = true, idempotentHint = true, openWorldHint = false }
local RUN = { readOnlyHint = false, destructiveHint = true, idempotentHint = false, openWorldHint = true }

--- Sandboxes ------------------------------------------------------------------------------

-- What is told of a sandbox; its environment may hold secrets and is not.
local FIELDS = {
  { "id", string() }, { "name?", string() }, { "state?", string "started, stopped, ..." },
  { "errorReason?", string() }, { "snapshot?", string() }, { "target?", string() }, { "user?", string() },
  { "cpu?", shape.number() }, { "memory?", shape.number "GB" }, { "disk?", shape.number "GB" },
  { "labels?", shape.map() }, { "public?", boolean() },
  { "autoStopInterval?", shape.number "minutes" }, { "autoArchiveInterval?", shape.number "minutes" },
  { "autoDeleteInterval?", shape.number "minutes" },
  { "createdAt?", string() }, { "updatedAt?", string() },
}

local SANDBOX = object(FIELDS)
local ONE = object { { "sandbox", SANDBOX } }

local function shown(sandbox)
  local out = {}
  for _, field in ipairs(FIELDS) do
    local name = field[1]:gsub("%?$", "")
    out[name] = sandbox[names.snake_name(name)]
  end
  return ordered.note(out, ordered.of(SANDBOX.properties))
end

local function one(sandbox, err)
  if not sandbox then return nil, err end
  return { sandbox = shown(sandbox) }
end

local WHICH = { "sandboxId", string "Id or name of the sandbox." }
local SECONDS = { minimum = 1, maximum = 86400, default = 10 }

local create = {
  name = "daytona_create_sandbox", title = "Create a sandbox", takes_api_key = true, annotations = MAKE, output = ONE,
  description = "Creates a sandbox, an isolated Linux computer, and waits until it has started. "
    .. "Returns its id, which the other tools need. cpu, memory and disk go without snapshot.",
  input = object {
    { "snapshot?", string "Id or name of the snapshot to make it from; the default one without." },
    { "name?", string("Name, unique in the organization.", { minLength = 1 }) },
    { "target?", string "Region." },
    { "user?", string "User that commands run as." },
    { "env?", shape.map "Environment variables." },
    { "labels?", shape.map "Labels to find it by." },
    { "cpu?", integer("Processors.", { minimum = 1 }) },
    { "memory?", integer("GB of memory.", { minimum = 1 }) },
    { "disk?", integer("GB of disk.", { minimum = 1 }) },
    { "autoStopInterval?", integer("Minutes without activity until it stops; 0: never.", { minimum = 0 }) },
    { "autoArchiveInterval?", integer("Minutes stopped until it is archived; 0: as late as possible.",
      { minimum = 0 }) },
    { "autoDeleteInterval?", integer "Minutes stopped until it is deleted; negative: never, 0: when it stops." },
    { "public?", boolean "Previews of its ports need no token." },
  },
}

function create.run(args, call)
  local client, err = call:client()
  if not client then return nil, err end
  local opts = { owned = false } -- whoever calls decides on its end, perhaps days later
  for name, value in pairs(args) do opts[names.snake_name(name)] = value end
  return one(client:create(opts))
end

local list = {
  name = "daytona_list_sandboxes", title = "List sandboxes", takes_api_key = true, annotations = READ,
  description = "Lists sandboxes, a page at a time; nextCursor, when it is there, gets the next page.",
  input = object {
    { "limit?", integer("How many at most.", { minimum = 1, maximum = 200, default = 100 }) },
    { "name?", string "Beginning of the name, in any letter case." },
    { "labels?", shape.map "Labels that it must have." },
    { "cursor?", string "nextCursor of the page before." },
  },
  output = object { { "sandboxes", shape.list(SANDBOX) }, { "nextCursor?", string() } },
}

local function some(text)
  return text ~= "" and text or nil
end

function list.run(args, call)
  local client, err = call:client()
  if not client then return nil, err end
  local page
  page, err = client:list {
    limit = args.limit, name = some(args.name), labels = args.labels, cursor = some(args.cursor),
  }
  if not page then return nil, err end
  local rows = json.array()
  for i, sandbox in ipairs(page.items) do rows[i] = shown(sandbox) end
  return { sandboxes = rows, nextCursor = page.next_cursor }
end

-- A tool that does one thing to one sandbox.
local function about(name, title, annotations, description, fn)
  return {
    name = name, title = title, annotations = annotations, description = description, takes_api_key = true,
    input = object { WHICH }, output = ONE,
    run = function(args, call)
      local client, err = call:client()
      if not client then return nil, err end
      local sandbox
      sandbox, err = client:get(args.sandboxId)
      if not sandbox then return nil, err end
      local fine
      fine, err = fn(sandbox)
      if not fine then return nil, err end
      return one(sandbox)
    end,
  }
end

local get = about("daytona_get_sandbox", "Look at a sandbox", READ,
  "Tells the state and settings of a sandbox.", function() return true end)

local start = about("daytona_start_sandbox", "Start a sandbox", CHANGE,
  "Starts a stopped sandbox and waits until it has started. Does nothing when it is started.",
  function(sandbox) return sandbox:start() end)

local stop = about("daytona_stop_sandbox", "Stop a sandbox", CHANGE,
  "Stops a sandbox and waits until it has stopped. Its files stay, what runs in it ends.",
  function(sandbox) return sandbox:stop() end)

local delete = about("daytona_delete_sandbox", "Delete a sandbox", DESTROY,
  "Deletes a sandbox with everything in it. This cannot be undone.",
  function(sandbox) return sandbox:delete() end)

--- Commands and code -----------------------------------------------------------------------

local EXECUTED = {
  { "exitCode", integer "-1: not known" }, { "result", string "What it printed." },
  { "truncated?", boolean "The result is but the beginning and the end." },
  { "readMore?", string "Path in the sandbox of all that was printed." },
}

-- A run's result in the published shape, or why there is none.
local function executed(call, sandbox, done)
  local text, cut = call:cap(done.text, "ends", done.file, true)
  if done.timed_out then
    return nil, "it was still running when its time was over, and was ended; give it a longer timeout. "
      .. (text ~= "" and "Until then it printed:\n" .. text or "It had printed nothing.")
  end
  local truncated = cut or done.file ~= nil or nil
  local data = { exitCode = done.exit_code, result = text, truncated = truncated, readMore = done.file }
  return ordered.note(data, { "exitCode", "result" }),
    { truncated = truncated, read_more = done.file, sandbox = sandbox.id }
end

local execute = {
  name = "daytona_execute_command", title = "Run a command", takes_api_key = true, annotations = RUN,
  description = "Runs a shell command in a sandbox and waits for its end. Returns its exit code and what it printed, "
    .. "standard error included; of much output the beginning and the end, and where all of it is.",
  input = object {
    WHICH,
    { "command", string("Shell command.", { minLength = 1 }) },
    { "cwd?", string("Directory to run it in.", { minLength = 1 }) },
    { "env?", shape.map "Environment variables." },
    { "timeout?", shape.number("Seconds it may run.", SECONDS) },
  },
  output = object(EXECUTED),
}

-- How much the sandbox sends: what is then cut for JSON is still in the file.
local function capture_in(sandbox, command, args, call)
  local limits = call.toolset:limits()
  local done, err = capture.run(sandbox, command, {
    cwd = args.cwd, env = args.env, timeout = args.timeout or 10, lines = limits.lines - 10,
    bytes = math.floor(limits.bytes * 0.75), on_line = call.on_progress,
  })
  if not done then return nil, err end
  return executed(call, sandbox, done)
end

function execute.run(args, call)
  local sandbox, err = call:sandbox(args.sandboxId)
  if not sandbox then return nil, err end
  return capture_in(sandbox, args.command, args, call)
end

-- As a job, which outlives this program.
function execute.start(args, call)
  local sandbox, err = call:sandbox(args.sandboxId)
  if not sandbox then return nil, err end
  local job
  job, err = sandbox:popen(args.command, {
    cwd = args.cwd, env = args.env, timeout = args.timeout or 10, stderr = "stdout",
  })
  if not job then return nil, err end
  return { sandbox = sandbox.id, job = job.id }
end

execute.finish = executed

local run_code = {
  name = "daytona_run_code", title = "Run code", takes_api_key = true, annotations = RUN,
  description = "Runs source code in a sandbox and waits for its end. Returns its exit code, what it printed, and the "
    .. "charts that it drew with matplotlib.",
  input = object {
    WHICH,
    { "code", string("Source text.", { minLength = 1 }) },
    { "language?", shape.enum({ "python", "javascript", "typescript" }, "The sandbox's own without.") },
    { "env?", shape.map "Environment variables." },
    { "timeout?", shape.number("Seconds it may run.", SECONDS) },
  },
  output = object {
    EXECUTED[1], EXECUTED[2],
    { "artifacts", object {
      { "charts", shape.list(object { { "type?", string() }, { "title?", string() }, { "png?", boolean() } }) } } },
    EXECUTED[3], EXECUTED[4],
  },
}

-- The pictures are images of the result, not text in its data.
local function charts_of(result)
  local charts, images = json.array(), {}
  for i, chart in ipairs(result.artifacts.charts) do
    local png = chart:png()
    charts[i] = { type = chart.type, title = chart.title, png = png ~= nil }
    if png then images[#images + 1] = { data = base64.encode(png), mime_type = "image/png" } end
  end
  return charts, images
end

-- Much output is put back into the sandbox, so that it can be read there.
local function keep(sandbox, text)
  local file = "/tmp/.daytona-output/" .. core.unique():gsub("[^%w]", "") .. ".txt"
  return sandbox.fs:write(file, text) and file or nil
end

function run_code.run(args, call)
  local sandbox, err = call:sandbox(args.sandboxId)
  if not sandbox then return nil, err end
  local result
  result, err = sandbox:run(args.code, { language = args.language, env = args.env, timeout = args.timeout or 10 })
  if not result then return nil, err end
  local done = { exit_code = result.exit_code, text = result.result, timed_out = result.timed_out }
  local _, cut = call:cap(result.result, "ends", nil, true)
  if cut then done.file = keep(sandbox, result.result) end
  local data, more = executed(call, sandbox, done)
  if not data then return nil, more end
  local charts
  charts, more.images = charts_of(result)
  data.artifacts = { charts = charts }
  return data, more
end

--- Files ---------------------------------------------------------------------------------------

local upload = {
  name = "daytona_upload_file", title = "Upload a file", takes_api_key = true, annotations = CHANGE,
  description = "Writes a file in a sandbox, over what is there, making folders as needed.",
  input = object {
    WHICH,
    { "destinationPath", string("Path of the file; with a slash at its end, the folder.", { minLength = 1 }) },
    { "fileContent?", string "Its content, as base64." },
    { "file?", string "The same, as base64." },
    { "fileName?", string("Its name, in a folder.", { minLength = 1 }) },
  },
  output = object { { "uploadedPath", string() }, { "name", string() }, { "size", integer "bytes" } },
}

-- The path and name that a file gets.
local function place(args)
  local path, name = args.destinationPath, args.fileName
  if path:sub(-1) ~= "/" then return path, path:match "[^/]*$" end
  if not name then return nil, "destinationPath is a folder: fileName must say what the file is called" end
  if name:find "/" or name == "." or name == ".." then
    return nil, "fileName is a name, without slashes; the folder is destinationPath"
  end
  return path .. name, name
end

function upload.run(args, call)
  local content = args.fileContent or args.file
  if not content then return nil, "fileContent is required, and missing: the content as base64" end
  local path, name = place(args)
  if not path then return nil, name end
  local data = base64.decode(content)
  if not data then return nil, "fileContent is not valid base64" end
  local sandbox, err = call:sandbox(args.sandboxId)
  if not sandbox then return nil, err end
  local written
  written, err = sandbox.fs:write(path, data)
  if not written then return nil, err end
  return ordered.note({ uploadedPath = path, name = name, size = #data }, { "uploadedPath", "name", "size" })
end

local download = {
  name = "daytona_download_file", title = "Download a file", takes_api_key = true, annotations = READ,
  description = "Returns the content of a file, as base64; of a large one its beginning.",
  input = object { WHICH, { "filePath", string("Path of the file.", { minLength = 1 }) } },
  output = object {
    { "file", string "Content, as base64." }, { "name", string() }, { "mimeType", string() },
    { "size", integer "bytes of the whole file" }, { "truncated?", boolean() }, { "readMore?", string() },
  },
}

function download.run(args, call)
  local sandbox, err = call:sandbox(args.sandboxId)
  if not sandbox then return nil, err end
  local most = math.floor((call.toolset:limits().bytes - 1024) / 4) * 3
  local info
  info, err = sandbox.fs:stat(args.filePath)
  if not info then return nil, err end
  if info.is_dir then return nil, "filePath is a folder; list it, or name a file" end
  local data
  data, err = sandbox.fs:read(args.filePath, info.size > most and { offset = 0, length = most } or nil)
  if not data then return nil, err end
  local cut = info.size > #data or nil
  local name = args.filePath:match "[^/]*$"
  local result = {
    file = base64.encode(data), name = name, mimeType = require("daytona.agent.mime").of(name, data),
    size = info.size, truncated = cut, readMore = cut and args.filePath,
  }
  return ordered.note(result, { "name", "mimeType", "size", "file" }),
    { truncated = cut, read_more = result.readMore, sandbox = sandbox.id }
end

local files = {
  name = "daytona_list_files", title = "List files", takes_api_key = true, annotations = READ,
  description = "Lists what is in a folder.",
  input = object { WHICH, { "path?", string "The folder; the working directory without." } },
  output = object {
    { "files", shape.list(object {
      { "name", string() }, { "isDir", boolean() }, { "size", integer "bytes" }, { "mode", string() },
      { "permissions", string() }, { "owner", string() }, { "group", string() }, { "modifiedAt", string() },
    }) },
    { "truncated?", boolean "There are more." },
  },
}

local FILE = { "name", "isDir", "size", "mode", "permissions", "owner", "group", "modifiedAt" }

-- About what an entry of the list costs.
local ENTRY = 220

function files.run(args, call)
  local sandbox, err = call:sandbox(args.sandboxId)
  if not sandbox then return nil, err end
  local entries
  entries, err = sandbox.fs:list(some(args.path))
  if not entries then return nil, err end
  local most = math.floor(call.toolset:limits().bytes / ENTRY)
  local rows = json.array()
  for i = 1, math.min(#entries, most) do
    local row = {}
    for _, name in ipairs(FILE) do row[name] = entries[i][names.snake_name(name)] end
    rows[i] = ordered.note(row, FILE)
  end
  local cut = #entries > most or nil
  return { files = rows, truncated = cut }, { truncated = cut }
end

--- Repositories --------------------------------------------------------------------------------

local clone = {
  name = "daytona_git_clone", title = "Clone a repository", takes_api_key = true, annotations = MAKE,
  description = "Clones a git repository into a sandbox.",
  input = object {
    WHICH,
    { "url", string("Its address.", { minLength = 1 }) },
    { "path?", string("Where to; its name in the working directory without.", { minLength = 1 }) },
    { "branch?", string("Branch to check out.", { minLength = 1 }) },
    { "commitId?", string("Commit to check out.", { minLength = 1 }) },
    { "username?", string "For private repositories." },
    { "password?", shape.secret "Password or token for private repositories." },
  },
  output = object { { "repoUrl", string() }, { "clonePath", string() } },
}

local redact = require "daytona.base.redact"

function clone.run(args, call)
  local sandbox, err = call:sandbox(args.sandboxId)
  if not sandbox then return nil, err end
  local cloned
  cloned, err = sandbox.git:clone(args.url, args.path, {
    branch = args.branch, commit_id = args.commitId, username = some(args.username), password = some(args.password),
  })
  if not cloned then return nil, err end
  return ordered.note({ repoUrl = redact(cloned.url), clonePath = cloned.path }, { "repoUrl", "clonePath" })
end

local M = {}

---@return daytona.Tool[]
function M.tools()
  return { create, list, get, start, stop, delete, execute, run_code, upload, download, files, clone }
end

M.FIELDS, M.shown, M.captured, M.charts_of, M.keep = FIELDS, shown, capture_in, charts_of, keep

return M
