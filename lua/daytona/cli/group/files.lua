-- cp, sync: files and folders of this machine and of a sandbox.

local errors = require "daytona.base.errors"
local localfile = require "daytona.toolbox.fs.localfile"
local output = require "daytona.cli.output"

local files = {}

---A place as it was typed: `box` is nil for one here.
---@class daytona.cli.Place
---@field box? string
---@field path string

-- "BOX:PATH", unless there is a slash before the colon.
local function place(text)
  local box, path = text:match "^([^/:]+):(.*)$"
  return { box = box, path = path or text }
end

-- Both places, of which one must be in a sandbox, and the sandbox.
local function places(call)
  local from, to = place(call.args[1]), place(call.args[2])
  if (from.box == nil) == (to.box == nil) then
    error(call.command.name .. ": one of the two must be in a sandbox, as BOX:PATH", 0)
  end
  local client, err = call.client()
  if not client then return nil, err end
  local box
  box, err = client:get(from.box or to.box)
  if not box then return nil, err end
  return box, from, to
end

-- Where something is to be put: in a folder that is there, under its own name.
local function inside(path, is_folder, name)
  if not is_folder then return path end
  return path:gsub("/+$", "") .. "/" .. (name:match "([^/]+)/*$" or name)
end

local function remote_folder(box, path)
  if path == "" or path:sub(-1) == "/" then return true end
  local info, err = box.fs:stat(path)
  if info then return info.is_dir end
  if errors.is(err, "not_found") then return false end
  return nil, err
end

local function upload(box, from, to, recursive)
  local is_folder, err = remote_folder(box, to)
  if is_folder == nil then return nil, err end
  if from == "-" then
    if is_folder then error("cp: what comes from standard input needs a name over there", 0) end
    return box.fs:upload(require("daytona.cli.input").source, to)
  end
  to = inside(to == "" and "." or to, is_folder, from)
  if not localfile.is_directory(from) then return box.fs:upload(from, to) end
  if not recursive then error("cp: " .. from .. " is a folder; -r copies it", 0) end
  return box.fs:upload_dir(from, to)
end

local function download(box, from, to, recursive)
  if to == "-" then return box.fs:download(from, io.stdout) end
  if not recursive then return box.fs:download(from, to) end
  return box.fs:download_dir(from, inside(to, localfile.is_directory(to), from))
end

---@param call daytona.cli.Call
function files.cp(call)
  local box, from, to = places(call)
  if not box then return nil, from end
  local copy = to.box and upload or download
  local done, err = copy(box, from.path, to.path, call.options.recursive)
  if not done then return nil, err end
  if call.options.json and to.path ~= "-" then output.json(done) end
end

---@param call daytona.cli.Call
function files.sync(call)
  local box, from, to = places(call)
  if not box then return nil, from end
  local given, is_up = call.options, to.box ~= nil
  local folder, remote = is_up and from.path or to.path, is_up and to.path or from.path
  local done, err = box.fs:sync(folder, remote == "" and "." or remote, {
    direction = is_up and "up" or "down", delete = given.delete, exclude = given.exclude, checksum = given.checksum,
    gitignore = not given.no_gitignore,
  })
  if not done then return nil, err end
  for _, path in ipairs(done.skipped) do io.stderr:write("daytona-lua: skipped ", path, "\n") end
  if given.json then return output.json(done) end
  output.fields {
    { "copied", is_up and done.uploaded or done.downloaded }, { "deleted", done.deleted },
    { "unchanged", done.unchanged }, { "bytes", done.bytes },
  }
end

return files
