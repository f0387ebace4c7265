-- A local server with a sandbox in it, and a folder here for each test, for the
-- specs of files and trees.
--
--   local files = require("spec.support.files").new()
--   setup(function() service, box, fs = files:open() end)
--   teardown(function() files:close() end)
--   before_each(function() folder, remote = files:fresh() end)   -- and no faults
--   after_each(function() files:sweep() end)
--
--   files:sh(command)        what it prints, in the folder
--   files:put(name, data)    a file in the folder, with its name as content; its path
--   files:here(name, data)   the path of such a name; with data, of such a file
--   files:listing()          the names in the folder
--   files.content(path)      what is in a file here, nil where there is none
--   files:there(command)     what it prints in the folder `remote` of the sandbox
--   files:assert_alike()     both folders hold the same (or the one here and another here)

local check = require "luassert"
local toolbox = require "spec.support.toolbox"

local Files = {}
Files.__index = Files

function Files:open(options)
  self.service = require("spec.support.service").start(options)
  self.box = assert(self.service.client:create())
  return self.service, self.box, self.box.fs
end

function Files:close()
  self.service:stop()
end

function Files:fresh()
  if self.service then assert(self.service.server:clear_faults()) end
  self.folder = os.tmpname()
  os.remove(self.folder)
  assert(os.execute("mkdir " .. self.folder))
  self.turn = (self.turn or 0) + 1
  self.remote = "tree" .. self.turn
  return self.folder, self.remote
end

function Files:sweep()
  os.execute("chmod -R u+rwX " .. self.folder .. "; rm -rf " .. self.folder)
end

function Files:sh(command)
  local pipe = io.popen("cd " .. self.folder .. " && { " .. command .. "\n} 2>&1")
  local text = pipe:read "*a"
  pipe:close()
  return text
end

function Files:put(name, data)
  local path = self.folder .. "/" .. name
  local file = assert(io.open(path, "wb"))
  file:write(data or name)
  file:close()
  return path
end

function Files:here(name, data)
  if data then return self:put(name, data) end
  return self.folder .. "/" .. name
end

function Files:listing()
  return self:sh "ls -A"
end

Files.content = toolbox.read

function Files:there(command)
  return assert(self.box:exec(command, { cwd = self.remote, check = true })).result
end

local LOOK = [[find . -mindepth 1 -printf '%p %y %m %l\n' | LC_ALL=C sort | cat -v]]
local SUMS = [[find . -type f -exec sha256sum {} + | LC_ALL=C sort | cat -v]]

function Files:assert_alike(other)
  for _, command in ipairs { LOOK, SUMS } do
    check.equal(self:sh(command), other and self:sh("cd " .. other .. " && " .. command) or self:there(command))
  end
end

local function new()
  return setmetatable({}, Files)
end

return { new = new }
