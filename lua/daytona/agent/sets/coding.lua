-- The set "coding": what a model needs to work on a program in one sandbox. Relative
-- paths start from the toolset's `folder`, without one from the working directory.

local base64 = require "daytona.base.base64"
local capture = require "daytona.agent.capture"
local edit = require "daytona.agent.edit"
local globs = require "daytona.agent.globs"
local json = require "daytona.http.json"
local mime = require "daytona.agent.mime"
local output = require "daytona.agent.output"
local patch = require "daytona.agent.patch"
local paths = require "daytona.agent.paths"
local shape = require "daytona.agent.shape"
local shell = require "daytona.base.shell"

local string, integer, boolean, object = shape.string, shape.integer, shape.boolean, shape.object

local READ = { readOnlyHint = true, openWorldHint = false }
local CHANGE = { readOnlyHint = false, destructiveHint = true, idempotentHint = true, openWorldHint = false }
local EDIT = { readOnlyHint = false, destructiveHint = true, idempotentHint = false, openWorldHint = false }
local RUN = { readOnlyHint = false, destructiveHint = true, idempotentHint = false, openWorldHint = true }

local PATH = { "path", string("Path of the file.", { minLength = 1 }) }

-- Paths of a call start from the toolset's folder, where it has one.
local function in_folder(properties, args, folder)
  local out = {}
  for name, value in pairs(args) do out[name] = value end
  for _, name in ipairs { "path", "cwd" } do
    if properties[name] then out[name] = paths.below(folder, args[name]) end
  end
  return out
end

-- A tool whose function is given the sandbox, too.
local function tool(fields)
  local run, properties = fields.run, fields.input.properties
  function fields.run(args, call)
    local sandbox, err = call:home()
    if not sandbox then return nil, err end
    local folder = call.toolset.options.folder
    return run(folder and in_folder(properties, args, folder) or args, call, sandbox)
  end
  return fields
end

--- Commands ----------------------------------------------------------------------------------

local services = require "daytona.agent.services"

local function ran(call, sandbox, done)
  local text, cut = call:cap(done.text, "ends", done.file)
  if done.timed_out then
    return nil, "it was still running when its time was over, and was ended; give it a longer timeout, or run it in "
      .. "the background. " .. (text ~= "" and "Until then it printed:\n" .. text or "It had printed nothing.")
  end
  local truncated = cut or done.file ~= nil
  local said = text == "" and "(no output)" or text
  if done.exit_code ~= 0 then
    said = ("%s%s[exit code %d]"):format(said, said:sub(-1) == "\n" and "" or "\n", done.exit_code)
  end
  return { exit_code = done.exit_code, output = text, truncated = truncated or nil, read_more = done.file },
    { text = said, truncated = truncated, read_more = done.file, sandbox = sandbox.id }
end

local bash = tool {
  name = "bash", title = "Run a command", annotations = RUN,
  description = "Runs a shell command and waits for its end. Each call is a shell of its own: directory and "
    .. "variables do not last. Programs that do not end (servers) go in the background; service_logs shows what they "
    .. "print.",
  input = object {
    { "command", string("Shell command.", { minLength = 1 }) },
    { "cwd?", string("Directory to run it in.", { minLength = 1 }) },
    { "timeout?", shape.number("Seconds it may run.", { minimum = 1, maximum = 86400, default = 120 }) },
    { "background?", boolean "Start it and do not wait." },
  },
  output = object {
    { "exit_code?", integer() }, { "output?", string() }, { "truncated?", boolean() }, { "read_more?", string() },
    { "service?", string "of one in the background" },
  },
  run = function(args, call, sandbox)
    if args.background then return services.start(sandbox, args) end
    local limits = call.toolset:limits()
    local done, err = capture.run(sandbox, args.command, {
      cwd = args.cwd, timeout = args.timeout or 120, lines = limits.lines - 10, bytes = limits.bytes - 1024,
      on_line = call.on_progress,
    })
    if not done then return nil, err end
    return ran(call, sandbox, done)
  end,
}

function bash.start(args, call)
  local sandbox, err = call:home()
  if not sandbox then return nil, err end
  local job
  job, err = sandbox:popen(args.command, {
    cwd = paths.below(call.toolset.options.folder, args.cwd), timeout = args.timeout or 120, stderr = "stdout",
  })
  if not job then return nil, err end
  return { sandbox = sandbox.id, job = job.id }
end

bash.finish = ran

--- Reading ------------------------------------------------------------------------------------

-- Bytes: of files that are looked at as a whole, and of pictures.
local WHOLE, PICTURE = 4 * 1024 * 1024, 4 * 1024 * 1024

local function window(lines, first, last)
  local out = {}
  for i = first, math.min(last, #lines) do out[#out + 1] = lines[i] end
  return table.concat(out, "\n")
end

-- Of a file that is too large to be fetched: the shell counts and takes the lines.
local function read_large(sandbox, path, first, last)
  local name = shell.quote(path)
  local script = ("wc -l <%s; sed -n '%d,%dp;%dq' <%s | head -c 1000000"):format(name, first, last, last + 1, name)
  local result, err = sandbox:exec(script, { timeout = 60, check = true })
  if not result then return nil, err end
  local count, text = result.result:match "^%s*(%d+)\n(.*)$"
  text = (text or ""):gsub("\n$", "")
  return text, tonumber(count) or 0
end

local function read_small(sandbox, path, first, last)
  local data, err = sandbox.fs:read(path)
  if not data then return nil, err end
  if data:find("\0", 1, true) then return nil, "it is not a text file (" .. mime.of(path, data) .. ")" end
  local lines = patch.lines(data)
  return window(lines, first, last), #lines
end

local function picture(sandbox, path, info)
  if info.size > PICTURE then return nil, ("the picture is too large: %d bytes"):format(info.size) end
  local data, err = sandbox.fs:read(path)
  if not data then return nil, err end
  return { content = "", first_line = 0, last_line = 0, total_lines = 0 },
    { text = path, images = { { data = base64.encode(data), mime_type = mime.of(path, "") } } }
end

local PICTURES = { ["image/png"] = true, ["image/jpeg"] = true, ["image/gif"] = true, ["image/webp"] = true }

local function part(call, sandbox, path, args)
  local info, err = sandbox.fs:stat(path)
  if not info then return nil, err end
  if info.is_dir then return nil, "it is a folder; list it with ls" end
  if PICTURES[mime.of(path, "")] then return picture(sandbox, path, info) end
  local first = args.offset or 1
  local last = first + (args.limit or call.toolset:limits().lines - 10) - 1
  local text, total = (info.size > WHOLE and read_large or read_small)(sandbox, path, first, last)
  if not text then return nil, total end
  if first > math.max(total, 1) then return nil, ("the file has %d lines; there is no line %d"):format(total, first) end
  local shown, cut = call:cap(text, "head", path)
  -- What is there to its end, without the note's two; at least one, or nobody would get on.
  if cut then last = first + math.max(select(2, shown:gsub("\n", "")) - 2, 1) - 1 end
  last = math.min(last, total)
  local more = last < total
  local note = more and ("\n[lines %d to %d of %d; go on with offset %d]"):format(first, last, total, last + 1) or ""
  return { content = shown, first_line = first, last_line = last, total_lines = total },
    { text = (shown == "" and "(the file is empty)" or shown) .. note, truncated = cut or more,
      read_more = (cut or more) and path or nil, sandbox = sandbox.id }
end

local read = tool {
  name = "read", title = "Read a file", annotations = READ,
  description = "Returns lines of a text file, or a picture. Of a long file ask for a window with offset and limit.",
  input = object {
    PATH,
    { "offset?", integer("First line, from 1.", { minimum = 1, default = 1 }) },
    { "limit?", integer("How many lines at most.", { minimum = 1 }) },
  },
  output = object {
    { "content", string() }, { "first_line", integer() }, { "last_line", integer() }, { "total_lines", integer() },
  },
  run = function(args, call, sandbox) return part(call, sandbox, args.path, args) end,
}

--- Writing ------------------------------------------------------------------------------------

local write = tool {
  name = "write", title = "Write a file", annotations = CHANGE,
  description = "Writes a whole file, over what is there, making folders as needed. To change a part of one use edit.",
  input = object { PATH, { "content", string "All that is to be in the file." } },
  output = object { { "path", string() }, { "size", integer "bytes" } },
  run = function(args, _, sandbox)
    local done, err = sandbox.fs:write(args.path, args.content)
    if not done then return nil, err end
    return { path = args.path, size = #args.content },
      { text = ("wrote %d bytes to %s"):format(#args.content, args.path) }
  end,
}

local EDIT_FIELDS = {
  { "old_string", string("Text as it stands in the file, there exactly once.", { minLength = 1 }) },
  { "new_string", string "Text to put in its place." },
  { "replace_all?", boolean "Replace it wherever it is." },
}

-- Applies edits one after the other; the file is written when all of them fit.
local function change(sandbox, path, edits)
  local text, err = sandbox.fs:read(path)
  if not text then return nil, err end
  local total = 0
  for i, one in ipairs(edits) do
    local new, count = edit.apply(text, one)
    if not new then return nil, edits[2] and ("edit %d: %s; nothing was changed"):format(i, count) or count end
    text, total = new, total + count
  end
  local done
  done, err = sandbox.fs:write(path, text)
  if not done then return nil, err end
  return { path = path, replacements = total },
    { text = ("changed %d %s in %s"):format(total, total == 1 and "place" or "places", path) }
end

local CHANGED = object { { "path", string() }, { "replacements", integer() } }

local edit_tool = tool {
  name = "edit", title = "Change a file", annotations = EDIT, output = CHANGED,
  description = "Replaces a text in a file. The text must be there exactly once, white space included.",
  input = object { PATH, EDIT_FIELDS[1], EDIT_FIELDS[2], EDIT_FIELDS[3] },
  run = function(args, _, sandbox) return change(sandbox, args.path, { args }) end,
}

local multiedit = tool {
  name = "multiedit", title = "Change a file in several places", annotations = EDIT, output = CHANGED,
  description = "Replaces several texts in a file, one after the other; all of them, or nothing.",
  input = object { PATH, { "edits", shape.list(object(EDIT_FIELDS), "In this order.", { minItems = 1 }) } },
  run = function(args, _, sandbox) return change(sandbox, args.path, args.edits) end,
}

local patches = require "daytona.agent.patches"

local apply_patch = tool {
  name = "apply_patch", title = "Apply a patch", annotations = EDIT,
  description = "Adds, changes, moves and deletes files by a patch:\n*** Begin Patch\n*** Update File: path\n"
    .. "@@ a line before the change\n unchanged line\n-old line\n+new line\n*** Add File: path\n+line\n"
    .. "*** Delete File: path\n*** End Patch\nAll of it, or nothing.",
  input = object { { "patch", string("The patch.", { minLength = 1 }) } },
  output = object { { "files", shape.list(object { { "path", string() }, { "change", string() } }) } },
  run = function(args, call, sandbox)
    local operations, why = patch.parse(args.patch)
    if not operations then return nil, why end
    return patches.apply(sandbox, operations, call.toolset.options.folder)
  end,
}

--- Looking around ------------------------------------------------------------------------------

local ls = tool {
  name = "ls", title = "List a folder", annotations = READ,
  description = "Lists what is in a folder; folders end in a slash.",
  input = object { { "path?", string("The folder; the working directory without.", { minLength = 1 }) } },
  output = object { { "entries", shape.list(object {
    { "name", string() }, { "is_dir", boolean() }, { "size", integer "bytes" } }) } },
  run = function(args, call, sandbox)
    local list, err = sandbox.fs:list(args.path)
    if not list then return nil, err end
    local entries, lines = json.array(), {}
    for i = 1, math.min(#list, call.toolset:limits().lines - 10) do
      local one = list[i]
      entries[i] = { name = one.name, is_dir = one.is_dir, size = one.size }
      lines[i] = one.name .. (one.is_dir and "/" or "")
    end
    local cut = #list > #entries
    if cut then lines[#lines + 1] = ("[and %d more]"):format(#list - #entries) end
    return { entries = entries }, { text = lines[1] and table.concat(lines, "\n") or "(empty)", truncated = cut }
  end,
}

-- Lines that a command found, as a result with a list.
local function found(call, sandbox, script, field)
  local limits = call.toolset:limits()
  local done, err = capture.run(sandbox, script, {
    timeout = 60, lines = limits.lines - 10, bytes = limits.bytes - 1024,
  })
  if not done then return nil, err end
  if done.timed_out then return nil, "the search took more than 60 seconds; search in a smaller folder" end
  if done.exit_code > 1 then return nil, done.text end
  local text, cut = call:cap(done.text, "ends", done.file)
  local list = json.array(patch.lines(text))
  return { [field] = list }, { text = text == "" and "(nothing found)" or text, truncated = cut or done.file ~= nil,
    read_more = done.file, sandbox = sandbox.id }
end

local FIND = "cd -- %s || exit 2; find . %s -type f -print | LC_ALL=C sort | head -c 4000000"

local SKIPPED = "\\( -name .git -o -name node_modules -o -name __pycache__ -o -name .venv \\) -prune -o"

-- Of paths that were found, those that fit.
local function matching(call, listing, pattern)
  local fits, files, most = globs.matcher(pattern), json.array(), call.toolset:limits().lines - 10
  local count = 0
  for path in listing:gmatch "%./([^\n]+)" do
    if fits(path) then
      count = count + 1
      if count <= most then files[count] = output.clean(path) end
    end
  end
  local text = files[1] and table.concat(files, "\n") or "(nothing found)"
  if count > most then text = text .. ("\n[and %d more]"):format(count - most) end
  local shown, cut = call:cap(text, "head")
  return { files = files }, { text = shown, truncated = cut or count > most }
end

local glob = tool {
  name = "glob", title = "Find files by name", annotations = READ,
  description = "Finds files whose path matches a pattern, as src/**/*.lua or *.md; without a slash the pattern is "
    .. "of the name, in any folder. .git, node_modules and the like are left out.",
  input = object {
    { "pattern", string("*, ? and [ ] within a name, ** over folders.", { minLength = 1 }) },
    { "path?", string("Folder to search; the working directory without.", { minLength = 1 }) },
  },
  output = object { { "files", shape.list(string()) } },
  run = function(args, call, sandbox)
    local script = FIND:format(shell.quote(args.path or "."), SKIPPED)
    local result, err = sandbox:exec(script, { timeout = 60 })
    if not result then return nil, err end
    if result.timed_out then return nil, "the search took more than 60 seconds; search in a smaller folder" end
    if result.exit_code ~= 0 then return nil, "there is no such folder" end
    return matching(call, result.result, args.pattern)
  end,
}

local grep = tool {
  name = "grep", title = "Search in files", annotations = READ,
  description = "Finds lines that match an extended regular expression, in a file or all files of a folder, as "
    .. "path:line:text. Binary files and .git are left out.",
  input = object {
    { "pattern", string("Extended regular expression.", { minLength = 1 }) },
    { "path?", string("File or folder; the working directory without.", { minLength = 1 }) },
    { "include?", string("Only files of this name, as *.lua.", { minLength = 1 }) },
    { "ignore_case?", boolean() },
  },
  output = object { { "matches", shape.list(string()) } },
  run = function(args, call, sandbox)
    local words = { "grep", "-rnIE", "--exclude-dir=.git", "--exclude-dir=node_modules" }
    if args.ignore_case then words[#words + 1] = "-i" end
    if args.include then words[#words + 1] = "--include=" .. args.include end
    for _, word in ipairs { "-e", args.pattern, "--", args.path or "." } do words[#words + 1] = word end
    return found(call, sandbox, shell.join(words), "matches")
  end,
}

--- Services and previews -------------------------------------------------------------------------

local SERVICE = { "service", string("What service_start, or bash in the background, named it.", { minLength = 1 }) }

local service_start = tool {
  name = "service_start", title = "Start a service", annotations = RUN,
  description = "Starts a program that does not end, and with a port waits until it listens there.",
  input = object {
    { "command", string("Shell command.", { minLength = 1 }) },
    { "cwd?", string("Directory to run it in.", { minLength = 1 }) },
    { "port?", integer("Port that it will listen on.", { minimum = 1, maximum = 65535 }) },
    { "timeout?", shape.number("Seconds to wait for the port.", { minimum = 1, maximum = 600, default = 30 }) },
  },
  output = object { { "service", string() }, { "port?", integer() } },
  run = function(args, _, sandbox) return services.start(sandbox, args) end,
}

local service_logs = tool {
  name = "service_logs", title = "What a service printed", annotations = READ,
  description = "Returns the last lines that a service has printed, and whether it still runs.",
  input = object { SERVICE, { "lines?", integer("How many.", { minimum = 1, maximum = 1900, default = 100 }) } },
  output = object { { "running", boolean() }, { "exit_code?", integer() }, { "output", string() } },
  run = function(args, call, sandbox) return services.logs(call, sandbox, args.service, args.lines or 100) end,
}

local service_stop = tool {
  name = "service_stop", title = "Stop a service", annotations = CHANGE,
  description = "Ends a service and all its processes.",
  input = object { SERVICE },
  output = object { { "service", string() }, { "exit_code", integer() } },
  run = function(args, _, sandbox) return services.stop(sandbox, args.service) end,
}

local preview = tool {
  name = "preview", title = "Address of a port",
  annotations = { readOnlyHint = true, openWorldHint = true },
  description = "Returns an address under which a browser reaches a port of the sandbox, for an hour.",
  input = object { { "port", integer("Port that a service listens on.", { minimum = 1, maximum = 65535 }) } },
  output = object { { "port", integer() }, { "url", string() } },
  run = function(args, _, sandbox)
    local link, err = sandbox:preview_url(args.port, { signed = true, expires_in = 3600 })
    if not link then return nil, err end
    return { port = args.port, url = link.url }, { text = link.url }
  end,
}

local M = {}

---@return daytona.Tool[]
function M.tools(toolset)
  local list = { bash, read, write, edit_tool, multiedit, apply_patch, ls, glob, grep, service_start, service_logs,
    service_stop, preview }
  if toolset.options.checkout then
    list[#list + 1] = require("daytona.agent.checkout").tool(toolset.options.checkout)
  end
  return list
end

M.part = part

return M
