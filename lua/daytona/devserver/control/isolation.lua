-- What stands around a sandbox's daemon and all that it starts: which files there
-- are, as which user it runs, and the command line that makes it so. It starts no
-- process but those that try what works here, and knows no HTTP.
--
-- There are two ways, both with bubblewrap. A server of a plain user gives each
-- sandbox a user namespace ("user"): inside it is user 1000, outside its processes
-- are that user's. A server of root has no need for one ("root"): root makes the
-- view of the machine, and the daemon, before anything of the sandbox runs, becomes
-- a user of the sandbox's own, whom nobody else on the machine is, and gives up every
-- capability. Where neither works, commands run as whoever runs the server.
--
-- Root in a user namespace ("weak") is left where root may make no namespaces of its
-- own. It keeps sandboxes apart, but they act outside as root, so it does not count
-- as isolation.

local fcntl = require "posix.fcntl"
local stat = require "posix.sys.stat"
local unistd = require "posix.unistd"
local children = require "daytona.devserver.control.children"
local files = require "daytona.devserver.control.files"

local isolation = {}

local INSIDE = "/run/daytona/lua"
local BIN = "/run/daytona/bin"
local HOME = "/home/daytona"
local PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

-- Of /etc, what programs read to run at all: how names, libraries, certificates, fonts,
-- languages and times are found, and how shells, interpreters and desktops begin.
-- Nothing that is about this machine's users, services or registries.
local ETC = [[
  alternatives bash.bashrc bash_completion.d ca-certificates ca-certificates.conf
  crypto-policies dbus-1 debian_version dconf default/locale environment ethertypes fonts
  fontconfig gai.conf gitconfig glvnd gtk-2.0 gtk-3.0 gtk-4.0 host.conf ImageMagick-6
  ImageMagick-7 inputrc java java-11-openjdk java-17-openjdk java-21-openjdk ld.so.cache
  ld.so.conf ld.so.conf.d locale.alias localtime lsb-release magic magic.mime mime.types
  nanorc networks nsswitch.conf openal OpenCL os-release papersize perl pki profile
  profile.d protocols pulse python3 R resolv.conf rpc services shells ssl/certs
  ssl/openssl.cnf terminfo timezone vim vulkan wgetrc X11 xdg xml sgml
]]

-- Arguments ------------------------------------------------------------------------

local function adder(argv)
  return function(...)
    for _, word in ipairs { ... } do argv[#argv + 1] = word end
  end
end

-- Only what every user of the machine may read, whoever runs the server.
local function readable_by_all(path)
  local info = stat.stat(path)
  return info and info.st_mode % 8 >= 4
end

local function add_etc(add)
  add("--dir", "/etc", "--dir", "/etc/default", "--dir", "/etc/ssl")
  for name in ETC:gmatch("%S+") do
    local path = "/etc/" .. name
    if readable_by_all(path) then add("--ro-bind", path, path) end
  end
end

local function add_system(add)
  add("--ro-bind", "/usr", "/usr")
  for _, path in ipairs { "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32" } do
    local info = stat.lstat(path)
    if info and stat.S_ISLNK(info.st_mode) ~= 0 then
      add("--symlink", unistd.readlink(path), path)
    elseif info then
      add("--ro-bind", path, path)
    end
  end
  add_etc(add)
  add("--ro-bind-try", "/opt", "/opt", "--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys",
    "--dev", "/dev", "--tmpfs", "/run", "--tmpfs", "/var", "--dir", "/var/tmp", "--dir", "/home",
    "--dir", "/run/daytona")
end

-- In "root" the daemon needs three capabilities to become the sandbox's user.
local NAMESPACES = {
  user = { "--unshare-user", "--uid", "1000", "--gid", "1000" },
  weak = { "--unshare-user", "--uid", "1000", "--gid", "1000" },
  root = { "--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID",
    "--cap-add", "CAP_SETPCAP" },
}

local function add_namespaces(add, mode)
  add("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--as-pid-1", "--die-with-parent")
  add(unpack(NAMESPACES[mode]))
end

-- Users ------------------------------------------------------------------------------

-- Above what systems give to people and services, below what old archives can hold.
local FIRST_USER, USERS = 1100000, 900000

local function highest_user()
  local top = 0
  for inside, count in (files.read("/proc/self/uid_map") or ""):gmatch("(%d+)%s+%d+%s+(%d+)") do
    top = math.max(top, tonumber(inside) + tonumber(count))
  end
  return top
end

-- The user of a sandbox, always the same; two sandboxes seldom share one. nil where
-- there are not enough users (in a container with few).
local function user_of(id)
  local number = tonumber(id:gsub("%X", ""):sub(1, 8), 16) or 0
  return FIRST_USER + number % USERS
end

-- Gives the sandbox's folders to its user, unless they are.
local function give(folder, user)
  local info = stat.lstat(folder .. "/home")
  if info and info.st_uid == user then return end
  if not next(files.list(folder .. "/home")) then
    unistd.chown(folder .. "/home", user, user)
    unistd.chown(folder .. "/tmp", user, user)
    return
  end
  local owner = ("%d:%d"):format(user, user)
  local child = children.spawn("chown", { "-hR", "--", owner, folder .. "/tmp", folder .. "/home" }, {})
  if child then child:wait(60) end
end

-- Which way works ---------------------------------------------------------------------

local function works(mode)
  local argv = {}
  local add = adder(argv)
  add_namespaces(add, mode)
  add_system(add)
  add("--", "/bin/true")
  local null = fcntl.open("/dev/null", fcntl.O_WRONLY)
  local old = fcntl.fcntl(2, fcntl.F_DUPFD, 200)
  fcntl.fcntl(null, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
  fcntl.fcntl(old, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
  unistd.dup2(null, 2)                -- its complaint is not for the user
  local child = children.spawn("bwrap", argv, {})
  unistd.dup2(old, 2)
  unistd.close(old)
  unistd.close(null)
  return child and child:wait(5) and child.status == 0
end

---How sandboxes can be isolated here: "user", "root" (see the top of this file),
---"weak", or nil. Needs the loop and SIGCHLD.
---@return "user"|"root"|"weak"|nil
function isolation.probe()
  if unistd.geteuid() ~= 0 then return works("user") and "user" or nil end
  if highest_user() > FIRST_USER + USERS and works("root") then return "root" end
  return works("weak") and "weak" or nil
end

---Whether that is a boundary.
---@param mode string?  what `probe` returned
---@return boolean
function isolation.holds(mode)
  return mode == "user" or mode == "root"
end

-- Linux counts processes for each user namespace from 5.14 on, and else for each user:
-- a plain user's own programs would count.
local function counts_by_namespace()
  local major, minor = (files.read("/proc/sys/kernel/osrelease") or ""):match("^(%d+)%.(%d+)")
  major, minor = tonumber(major) or 0, tonumber(minor) or 0
  return major > 5 or major == 5 and minor >= 14
end

local PROCESSES, GIB = 4096, 1024 ^ 3

---How much a sandbox may have, where that can be held to.
---@param mode string?
---@param disk number  the sandbox's, GiB
---@return { processes?: integer, file_size: number }?  threads are counted; bytes of one file
function isolation.limits(mode, disk)
  if not isolation.holds(mode) then return nil end
  local counted = mode == "root" or counts_by_namespace()
  return { processes = counted and PROCESSES or nil, file_size = disk * GIB }
end

-- The daemon's command -----------------------------------------------------------------

local MODULES = { "cqueues", "_cqueues", "http.websocket", "posix.unistd", "cjson", "openssl.rand",
  "_openssl", "lpeg", "lpeg_patterns.http", "basexx", "fifo", "binaryheap", "compat53.string" }

-- Of a Lua path, the entries that do not depend on where one is: the daemon begins in a
-- folder that is the sandbox's.
local function absolute(path)
  local kept = {}
  for template in path:gmatch("[^;]+") do
    if template:sub(1, 1) == "/" then kept[#kept + 1] = template end
  end
  return table.concat(kept, ";")
end

-- Folders outside /usr from which the interpreter loads what the daemon needs.
local function module_folders()
  local seen, list = {}, {}
  for template in absolute(package.path .. ";" .. package.cpath):gmatch("[^;]+") do
    local folder = template:match("^(/[^?]*)/[^/?]*%?")
    if folder and not folder:find("^/usr/") and not folder:find("^/lib") and not seen[folder] then
      for _, name in ipairs(MODULES) do
        if package.searchpath(name, template) then seen[folder] = true end
      end
      if seen[folder] then list[#list + 1] = folder end
    end
  end
  return list
end

local function interpreter_words(lua)
  local path = lua .. "/?.lua;" .. lua .. "/?/init.lua;" .. absolute(package.path)
  return {
    "-e", ("package.path=%q package.cpath=%q"):format(path, absolute(package.cpath)),
    lua .. "/daytona/devserver/toolbox/main.lua", "--config-fd", "4",
  }
end

local function environment(box, home, bin)
  return {
    PATH = PATH .. ":" .. bin, HOME = home, USER = "daytona", LOGNAME = "daytona",
    SHELL = "/bin/bash", LANG = "C.UTF-8", TERM = "xterm-256color", DAYTONA_SANDBOX_ID = box.id,
  }
end

-- Some machines have Python under the name `python3` only; programs expect both.
local function python()
  local path = "/usr/bin/python3"
  return not stat.stat("/usr/bin/python") and stat.stat(path) and path or nil
end

local function hosts(box)
  local text = (files.read("/etc/hosts") or "127.0.0.1 localhost\n"):gsub("([^\n])$", "%1\n")
  text = text .. ("127.0.0.1 %s\n"):format(box.hostname)
  if box.linked then text = text .. ("127.0.0.1 %s\n"):format(box.linked) end
  return text
end

-- What /etc says of the sandbox itself.
local function add_identity(add, box, user)
  local own = {
    passwd = "root:x:0:0:root:/root:/bin/bash\n"
      .. ("daytona:x:%d:%d:daytona:%s:/bin/bash\n"):format(user, user, HOME)
      .. "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    group = ("root:x:0:\ndaytona:x:%d:\nnogroup:x:65534:\n"):format(user),
    hosts = hosts(box), hostname = box.hostname .. "\n",
    ["machine-id"] = box.id:gsub("%X", "") .. "\n",
  }
  for name, text in pairs(own) do
    local path = box.folder .. "/" .. name
    files.write(path, text)
    stat.chmod(path, 420)              -- whatever the umask, the sandbox's user reads it
    add("--ro-bind", path, "/etc/" .. name)
  end
end

local function isolated(box)
  local user = box.isolation == "root" and user_of(box.id) or nil
  if user then give(box.folder, user) end
  local argv = {}
  local add = adder(argv)
  add_namespaces(add, box.isolation)
  add_system(add)
  add_identity(add, box, user or 1000)
  add("--bind", box.folder .. "/home", HOME, "--bind", box.folder .. "/tmp", "/tmp",
    "--ro-bind", box.lua_dir, INSIDE, "--dir", BIN)
  if python() then add("--symlink", python(), BIN .. "/python") end
  for _, mount in ipairs(box.mounts or {}) do add("--bind", mount.source, mount.target) end
  for _, folder in ipairs(module_folders()) do add("--ro-bind", folder, folder) end
  if not box.luajit:find("^/usr/") then add("--ro-bind", box.luajit, box.luajit) end
  add("--remount-ro", "/", "--hostname", box.hostname, "--chdir", "/", "--info-fd", "6", "--clearenv")
  for name, value in pairs(environment(box, HOME, BIN)) do add("--setenv", name, value) end
  add("--", box.luajit)
  add(unpack(interpreter_words(INSIDE)))
  return "bwrap", argv, { home = HOME, uid = user }
end

local function plain(box)
  local home, bin = box.folder .. "/home", box.folder .. "/bin"
  if python() and files.mkdir(bin) then unistd.link(python(), bin .. "/python", true) end
  local argv = { "-i", "-C", home }
  local env = environment(box, home, bin)
  env.TMPDIR = box.folder .. "/tmp"
  for name, value in pairs(env) do argv[#argv + 1] = name .. "=" .. value end
  argv[#argv + 1] = box.luajit
  for _, word in ipairs(interpreter_words(box.lua_dir)) do argv[#argv + 1] = word end
  return "env", argv, { home = home }
end

---The command that runs a sandbox's daemon, which reads its configuration from
---descriptor 4 and, where `isolation` is given, has bubblewrap write to descriptor 6.
---@param box { id: string, hostname: string, folder: string, lua_dir: string, luajit: string, isolation?: string, linked?: string, mounts?: { source: string, target: string }[] }
---@return string program
---@return string[] argv
---@return { home: string, uid?: integer } facts  where its home is inside, and whom it must become
function isolation.command(box)
  return (box.isolation and isolated or plain)(box)
end

return isolation
