-- A git server over HTTP that wants a user and a password, with one repository, `r.git`,
-- of these files; for specs.
--
--   local git = require("spec.support.git_server").start { ["bootstrap.sh"] = "echo hello" }
--   git.url, git.host, git.user, git.password
--   git:stop()

local M = {}

local Server = {}
Server.__index = Server

local function run(command)
  local pipe = assert(io.popen("(" .. command .. ") 2>&1; echo \"code $?\""))
  local text = pipe:read "*a"
  pipe:close()
  assert(text:find "code 0\n$", text)
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

---@param files table<string, string>  a name that ends with "*" is executable
---@return table
function M.start(files)
  local self = setmetatable({ folder = os.tmpname(), user = "me", password = "ghp_hunter2hunter2" }, Server)
  os.remove(self.folder)
  run(("mkdir %s && cd %s && git init -q --bare -b main r.git && git init -q -b main w && mkfifo in"):format(
    self.folder, self.folder))
  for name, text in pairs(files) do
    local path = self.folder .. "/w/" .. name:gsub("%*$", "")
    run("mkdir -p $(dirname " .. path .. ")")
    write(path, text)
    if name:find "%*$" then run("chmod +x " .. path) end
  end
  run(("cd %s/w && git add . && git -c user.name=a -c user.email=a@b commit -q -m one && git push -q ../r.git main")
    :format(self.folder))
  self.pipe = io.popen(("python3 spec/support/git_http.py %s %s %s <%s/in"):format(
    self.folder, self.user, self.password, self.folder))
  self.hold = io.open(self.folder .. "/in", "w")
  self.host = "127.0.0.1:" .. self.pipe:read "*l"
  self.url = "http://" .. self.host .. "/r.git"
  return self
end

function Server:stop()
  self.hold:close()
  self.pipe:close()
  os.execute("rm -rf " .. self.folder)
end

return M
