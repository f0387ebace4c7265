-- A toolbox daemon for a spec, spoken to with the curl program as a stranger
-- would. Runs on every Lua.
--
--   local daemon = toolbox.start { legacy = "0.190", env = { A = "1" } }
--   local r = daemon:request("GET", "/files", { query = { path = "x" } })
--   r.status  r.body  r.headers (lower-case names)  r.json
--   daemon.dir     its home and working directory, removed by daemon:stop()

local json = require "cjson"

local toolbox = {}

local Daemon = {}
Daemon.__index = Daemon

local here = debug.getinfo(1, "S").source:match "^@(.*)spec/support/toolbox%.lua$"

--- A word for the shell.
function toolbox.quote(word)
  return "'" .. tostring(word):gsub("'", "'\\''") .. "'"
end

--- What a shell command prints.
function toolbox.sh(command)
  local pipe = assert(io.popen(command, "r"))
  local output = pipe:read "*a"
  pipe:close()
  return output
end

function toolbox.write(path, data)
  local file = assert(io.open(path, "wb"))
  file:write(data)
  file:close()
end

function toolbox.read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local data = file:read "*a"
  file:close()
  return data
end

function toolbox.encode(s)
  return (s:gsub("[^%w%-._~/]", function(c) return ("%%%02X"):format(c:byte()) end))
end

--- Starts a daemon over an empty folder.
---@param options table? # more configuration, such as legacy; `small_disk`: a
--- file system of that size ("2m") for its home
function toolbox.start(options)
  local self = setmetatable({}, Daemon)
  self.scratch = toolbox.sh "mktemp -d":match "%S+"
  self.dir = self.scratch .. "/home"
  os.execute("mkdir " .. self.dir)
  local config = {
    sandbox_id = "box", key = "secret", home = self.dir, work_dir = self.dir,
    env = { PATH = os.getenv "PATH", TERM = "dumb" },
  }
  for name, value in pairs(options or {}) do config[name] = value end
  local disk = config.small_disk
  config.small_disk = nil
  toolbox.write(self.scratch .. "/config.json", json.encode(config))
  local command = ("exec luajit %sspec/support/toolboxd.lua %s"):format(here, self.scratch .. "/config.json")
  if disk then command = "exec " .. require("spec.support.small_disk").command(self.dir, disk, command) end
  self.pipe = assert(io.popen("ulimit -n $(ulimit -Hn); " .. command, "r"))
  local port, pid = self.pipe:read "*l":match "(%d+) (%d+)"
  self.port, self.pid = port, pid
  self.url = "http://127.0.0.1:" .. port
  return self
end

local function parse_headers(block)
  local headers = {}
  for name, value in block:gmatch "([^\r\n:]+):[ \t]*([^\r\n]*)" do
    headers[name:lower()] = value
  end
  return headers
end

--- One request. `o`: query, json, body, form (list of curl -F texts), headers,
-- key (false: none), prefix (default /toolbox/box), curl (more arguments).
function Daemon:request(method, path, o)
  o = o or {}
  local query = {}
  for name, value in pairs(o.query or {}) do
    query[#query + 1] = name .. "=" .. toolbox.encode(value)
  end
  local url = self.url .. (o.prefix or "/toolbox/box") .. path
    .. (query[1] and "?" .. table.concat(query, "&") or "")
  local words = { "curl", "-sS", "--max-time", "60", "--globoff" }
  local function add(...)
    for _, word in ipairs { ... } do words[#words + 1] = toolbox.quote(word) end
  end
  if method == "HEAD" then add "-I" else add("-X", method) end
  if o.key ~= false then add("-H", "Authorization: Bearer " .. (o.key or "secret")) end
  if o.json then
    o.body = json.encode(o.json)
    add("-H", "Content-Type: application/json")
  end
  if o.body then
    toolbox.write(self.scratch .. "/request", o.body)
    add("--data-binary", "@" .. self.scratch .. "/request")
  end
  for _, field in ipairs(o.form or {}) do add("-F", field) end
  for name, value in pairs(o.headers or {}) do add("-H", name .. ": " .. value) end
  for _, word in ipairs(o.curl or {}) do add(word) end
  local head, body = self.scratch .. "/head", self.scratch .. "/body"
  os.remove(body)
  add("-D", head, "-o", body, "-w", "%{http_code} %{exitcode}", url)
  local status, exit = toolbox.sh(table.concat(words, " ") .. " 2>/dev/null"):match "(%d+) (%d+)"
  local r = { status = tonumber(status), exit = tonumber(exit), body = method ~= "HEAD" and toolbox.read(body) or "" }
  r.headers = parse_headers(toolbox.read(head) or "")
  if r.body ~= "" and (r.headers["content-type"] or ""):find("application/json", 1, true) then
    r.json = json.decode(r.body)
  end
  return r
end

--- POST with a JSON body.
function Daemon:post(path, body, o)
  o = o or {}
  o.json = body
  return self:request("POST", path, o)
end

--- Runs a command; returns the decoded answer.
function Daemon:exec(command, more)
  local body = { command = command }
  for name, value in pairs(more or {}) do body[name] = value end
  return self:post("/process/execute", body).json
end

local function unhex(text)
  return (text:gsub("%x%x", function(c) return string.char(tonumber(c, 16)) end))
end

local conversations = 0

--- Starts a conversation over a WebSocket in the background. `o`: query,
-- headers, protocols, steps, timeout as in wsclient.lua. Returns, once it is open
-- or refused, a function that waits for its end and returns a list of events: { kind, data }, with
-- events.text and events.binary joined, events.code and events.reason.
function Daemon:talk(path, o)
  o = o or {}
  local query = {}
  for name, value in pairs(o.query or {}) do
    query[#query + 1] = name .. "=" .. toolbox.encode(value)
  end
  local headers = { Authorization = "Bearer secret" }
  for name, value in pairs(o.headers or {}) do headers[name] = value end
  conversations = conversations + 1
  local file = ("%s/plan%d"):format(self.scratch, conversations)
  toolbox.write(file, json.encode {
    url = self.url:gsub("^http", "ws") .. "/toolbox/box" .. path
      .. (query[1] and "?" .. table.concat(query, "&") or ""),
    headers = headers, protocols = o.protocols, steps = o.steps, timeout = o.timeout,
  })
  local pipe = assert(io.popen(("exec luajit %sspec/support/wsclient.lua %s 2>&1"):format(here, file), "r"))
  local first = pipe:read "*l"
  return function()
    local events, joined = {}, { text = {}, binary = {} }
    local line = first
    while line do
      local kind, rest = line:match "^(%S+) ?(.*)$"
      if joined[kind] then
        rest = unhex(rest)
        table.insert(joined[kind], rest)
      elseif kind == "close" then
        events.code = tonumber(rest:match "%d+")
        events.reason = unhex(rest:match "%d+ ?(.*)")
      end
      events[#events + 1] = { kind, rest }
      line = pipe:read "*l"
    end
    pipe:close()
    events.text, events.binary = table.concat(joined.text), table.concat(joined.binary)
    return events
  end
end

--- Ends the daemon and removes its folder.
function Daemon:stop()
  os.execute("kill " .. self.pid)
  self.pipe:close()
  os.execute("rm -rf " .. self.scratch)
end

return toolbox
