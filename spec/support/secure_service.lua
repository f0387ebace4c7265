-- A service over TLS (HTTP/2), scripted, in a process of its own: a control plane at one
-- port, the way to its sandboxes at another. LuaJIT runs it; the same file is what specs
-- load.
--
--   local service = require("spec.support.secure_service").start { held = true }
--     held     a creation is answered when there is a connection to the sandboxes, or
--              after 10 seconds with 504
--     config   "dead": the configuration names a port where nobody listens; "plain": an
--              address without TLS; "none": there is none; "odd": it is no JSON
--   service.api_url  service.certificate
--   service:log()    what came, a line each: "toolbox connection", "api POST /api/sandbox key", ...
--   service:close()

if not ... or ... == "spec.support.secure_service" then
  local Service = {}
  Service.__index = Service

  local HERE = debug.getinfo(1, "S").source:sub(2)

  local function start(opts)
    local log = os.tmpname()
    local out = assert(io.popen(("exec luajit '%s' serve %s %s %s </dev/null"):format(HERE, log,
      opts and opts.held and "held" or "free", opts and opts.config or "good")))
    local port = assert(out:read "*l", "the service did not start")
    return setmetatable({
      out = out, path = log, api_url = ("https://127.0.0.1:%s/api"):format(port), certificate = log .. ".pem",
    }, Service)
  end

  function Service:log()
    local lines = {}
    for line in io.lines(self.path) do lines[#lines + 1] = line end
    return lines
  end

  ---How many lines are like that.
  function Service:count(pattern)
    local n = 0
    for _, line in ipairs(self:log()) do
      if line:find(pattern) then n = n + 1 end
    end
    return n
  end

  function Service:close()
    self.out:close()
    os.remove(self.path)
    os.remove(self.certificate)
  end

  return { start = start }
end

package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path

local cqueues = require "cqueues"
local headers = require "http.headers"
local server = require "http.server"
local tls = require "daytona.devserver.control.tls"

local path, held, config = arg[2], arg[3] == "held", arg[4]

local function note(...)
  local file = assert(io.open(path, "a"))
  file:write(table.concat({ ... }, " "), "\n")
  file:close()
end

local SANDBOX = '{"id":"6a3e5b1c-0000-4000-8000-000000000001","name":"%s","organizationId":"o","state":"started",'
  .. '"desiredState":"started","labels":{},"toolboxProxyUrl":"https://127.0.0.1:%d/toolbox"}'

local context, certificate = tls.self_signed()
local pem = assert(io.open(path .. ".pem", "w"))
pem:write(certificate)
pem:close()

local toolbox_port
local reached = 0 -- connections to the sandboxes

local CONFIG = {
  good = function() return ('{"proxyToolboxUrl":"https://127.0.0.1:%d/toolbox"}'):format(toolbox_port) end,
  dead = function() return '{"proxyToolboxUrl":"https://127.0.0.1:1/toolbox"}' end,
  plain = function() return ('{"proxyToolboxUrl":"http://127.0.0.1:%d/toolbox"}'):format(toolbox_port) end,
  odd = function() return '["proxyToolboxUrl"' end,
}

local function create(body)
  local limit = cqueues.monotime() + 10
  while held and reached == 0 do
    if cqueues.monotime() > limit then return 504, "{}" end
    cqueues.sleep(0.005)
  end
  return 200, SANDBOX:format(body:match '"name":"([^"]+)"' or "x", toolbox_port)
end

local function answer_api(method, target, body)
  if target == "/api/config" then
    local text = CONFIG[config]
    return text and 200 or 404, text and text() or "{}"
  elseif method == "POST" then
    return create(body)
  end
  return 200, SANDBOX:format("x", toolbox_port)
end

local function answer_toolbox(method)
  if method == "HEAD" then return 404, "" end
  return 200, '{"exitCode":0,"result":"hello\\n"}'
end

local function listen(name, answer)
  local known = setmetatable({}, { __mode = "k" })
  local it = assert(server.listen {
    host = "127.0.0.1", port = 0, tls = true, ctx = context,
    onstream = function(_, stream)
      if not known[stream.connection] then
        known[stream.connection] = true
        if name == "toolbox" then reached = reached + 1 end
        note(name, "connection")
      end
      local asked = assert(stream:get_headers())
      local method, target = asked:get ":method", asked:get ":path"
      note(name, method, target, asked:get "authorization" and "key" or "bare")
      local status, body = answer(method, target, stream:get_body_as_string() or "")
      local head = headers.new()
      head:append(":status", tostring(status))
      head:append("content-type", "application/json")
      stream:write_headers(head, method == "HEAD")
      if method ~= "HEAD" then stream:write_body_from_string(body) end
    end,
    onerror = function() end,
  })
  assert(it:listen())
  return it, (select(3, it:localname()))
end

local loop = cqueues.new()
local api, api_port = listen("api", answer_api)
local toolbox
toolbox, toolbox_port = listen("toolbox", answer_toolbox)
for _, one in ipairs { api, toolbox } do
  loop:wrap(function() one:loop() end)
end
print(("%d"):format(api_port))
io.stdout:flush()

-- The reading end of our output closes when the parent does.
loop:wrap(function()
  cqueues.poll { pollfd = 1, events = "r" }
  os.exit(0)
end)

assert(loop:loop())
