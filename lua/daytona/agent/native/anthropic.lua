-- What Anthropic's models bring along for files and commands: bash_20250124 and
-- text_editor_20250728.

local core = require "daytona.base.native"
local edit = require "daytona.agent.edit"
local errors = require "daytona.base.errors"
local patch = require "daytona.agent.patch"
local shape = require "daytona.agent.shape"

local string, integer, boolean, object = shape.string, shape.integer, shape.boolean, shape.object
local tool = require("daytona.agent.native.tool").new

--- bash --------------------------------------------------------------------------------------

local SESSION = "daytona-native-bash"

local function open_session(toolset, sandbox, anew)
  if toolset.native_session and not anew then return toolset.native_session end
  if toolset.native_session then toolset.native_session:delete() end
  toolset.native_session = nil
  local id = SESSION .. "-" .. core.hex(core.random(4))
  local session, err = sandbox:session(id, { create = true })
  if not session then return nil, err end
  toolset.native_session = session
  toolset.closers[#toolset.closers + 1] = function() session:delete() end
  return session
end

local bash = tool {
  name = "bash", title = "Run a command", description = "Runs a command in a shell that lasts from call to call.",
  input = object { { "command?", string "Shell command." }, { "restart?", boolean "Begin a new shell." } },
  output = object { { "exit_code?", integer() }, { "output?", string() }, { "restarted?", boolean() } },
  native = { anthropic = { type = "bash_20250124", name = "bash" } },
  run = function(sandbox, args, call)
    local session, err = open_session(call.toolset, sandbox, args.restart)
    if not session then return nil, err end
    if args.restart then return { restarted = true }, { text = "a new shell has begun" } end
    if not args.command or not args.command:find "%S" then return nil, "command is required" end
    local result
    result, err = session:exec(args.command, { timeout = 120 })
    if not result then
      if not errors.is(err, "timeout") then return nil, err end
      call.toolset.native_session = nil
      session:delete()
      return nil, "it was still running after 120 seconds, and was ended; the shell was begun anew"
    end
    local text, cut = call:cap(result.output or (result.stdout or "") .. (result.stderr or ""), "ends")
    local said = text == "" and "(no output)" or text
    if result.exit_code ~= 0 then said = ("%s\n[exit code %d]"):format(said:gsub("\n$", ""), result.exit_code) end
    return { exit_code = result.exit_code, output = text }, { text = said, truncated = cut }
  end,
}

--- text editor -------------------------------------------------------------------------------

local function numbered(lines, first, last)
  local out = {}
  for i = first, last do out[#out + 1] = ("%6d\t%s"):format(i, lines[i]) end
  return table.concat(out, "\n")
end

-- Command -> fn(sandbox, args, call).
local EDITOR = {}

function EDITOR.view(sandbox, args, call)
  local info, err = sandbox.fs:stat(args.path)
  if not info then return nil, err end
  if info.is_dir then
    local names = {}
    local list
    list, err = sandbox.fs:list(args.path)
    for i, one in ipairs(list or {}) do names[i] = one.name .. (one.is_dir and "/" or "") end
    if not list then return nil, err end
    return table.concat(names, "\n")
  end
  local text
  text, err = sandbox.fs:read(args.path)
  if not text then return nil, err end
  if text:find("\0", 1, true) then return nil, "it is not a text file" end
  local lines, range = patch.lines(text), args.view_range or { 1, -1 }
  local first, last = range[1], range[2] == -1 and #lines or range[2] or #lines
  if first < 1 or first > math.max(#lines, 1) or last < first and #lines > 0 then
    return nil, ("view_range must be within the file's %d lines"):format(#lines)
  end
  return (call:cap(numbered(lines, first, math.min(last, #lines)), "head", args.path))
end

function EDITOR.create(sandbox, args)
  if not args.file_text then return nil, "file_text is required" end
  local done, err = sandbox.fs:write(args.path, args.file_text)
  if not done then return nil, err end
  return "wrote " .. args.path
end

function EDITOR.str_replace(sandbox, args)
  if not args.old_str or args.old_str == "" then return nil, "old_str is required" end
  local text, err = sandbox.fs:read(args.path)
  if not text then return nil, err end
  local new, why = edit.apply(text, { old_string = args.old_str, new_string = args.new_str or "" })
  if not new then
    return nil, (why:gsub("old_string", "old_str"):gsub("new_string", "new_str"):gsub(", or set replace_all", ""))
  end
  local done
  done, err = sandbox.fs:write(args.path, new)
  if not done then return nil, err end
  return "changed " .. args.path
end

function EDITOR.insert(sandbox, args)
  local new = args.insert_text or args.new_str
  if not args.insert_line or not new then return nil, "insert_line and insert_text are required" end
  local text, err = sandbox.fs:read(args.path)
  if not text then return nil, err end
  local lines = patch.lines(text)
  if args.insert_line > #lines then return nil, ("the file has %d lines"):format(#lines) end
  for i, line in ipairs(patch.lines(new)) do table.insert(lines, args.insert_line + i, line) end
  local done
  done, err = sandbox.fs:write(args.path, table.concat(lines, "\n") .. (lines[1] and "\n" or ""))
  if not done then return nil, err end
  return "changed " .. args.path
end

local editor = tool {
  name = "str_replace_based_edit_tool", title = "Look at and change files",
  description = "Shows a file or folder, creates a file, replaces a text that is there once, inserts lines.",
  input = object {
    { "command", shape.enum { "view", "create", "str_replace", "insert" } },
    { "path", string("Path of the file.", { minLength = 1 }) },
    { "view_range?", shape.list(integer(), "First and last line; -1 is the end.", { minItems = 2, maxItems = 2 }) },
    { "file_text?", string() }, { "old_str?", string() }, { "new_str?", string() },
    { "insert_line?", integer("0 is the beginning.", { minimum = 0 }) }, { "insert_text?", string() },
  },
  output = object { { "text", string() } },
  native = { anthropic = { type = "text_editor_20250728", name = "str_replace_based_edit_tool" } },
  run = function(sandbox, args, call)
    local text, err = EDITOR[args.command](sandbox, args, call)
    if not text then return nil, err end
    return { text = text }, { text = text == "" and "(empty)" or text }
  end,
}

return { bash, editor }
