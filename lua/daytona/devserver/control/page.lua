-- The page of the local server: what goes on in it, for a browser on this machine.
--
-- `http://127.0.0.1:PORT/#TOKEN`, where the token is good once: the page's script trades it
-- for a secret of its own, which it keeps in the tab and sends with every call. So there is
-- no cookie that another port of this machine would get, and nothing that a foreign page
-- could send. Who asks under another name than 127.0.0.1 or localhost, or for another
-- origin, gets nothing at all. The page loads nothing from elsewhere and cannot.

local cqueues = require "cqueues"
local websocket = require "http.websocket"
local admin = require "daytona.devserver.control.admin"
local ids = require "daytona.devserver.ids"
local files = require "daytona.devserver.control.page_files"
local httpd = require "daytona.devserver.http"
local json = require "daytona.devserver.http.json"

local page = {}

local BASE = "/__devserver/page"
local PAUSE = 1            -- seconds between two looks
local REQUESTS = 40        -- so many are shown
local MOST_TOKENS = 20

local STATIC = {
  ["content-security-policy"] = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    .. "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  ["x-content-type-options"] = "nosniff", ["referrer-policy"] = "no-referrer", ["cache-control"] = "no-store",
}

-- Who may ask --------------------------------------------------------------------------

-- Fails for names and origins that are not this server's own.
local function check_names(context, req)
  local host, origin = (req.headers.host or ""):lower(), req.headers.origin
  local name, port = host:match "^([%w%.]+):(%d+)$"
  local is_ours = (name == "127.0.0.1" or name == "localhost") and tonumber(port) == context.port
  if not is_ours or origin and origin ~= context.scheme .. "://" .. host then
    httpd.fail(403, nil, "Forbidden")
  end
end

local function is_known(self, req)
  check_names(self.context, req)
  local given = (req.headers.authorization or ""):match "^Bearer (%x+)$"
  return given ~= nil and self.sessions[given] == true
end

-- Trades a token, which is good no more, for a secret.
local function open_session(self, req)
  check_names(self.context, req)
  local given = req:json().token
  if type(given) ~= "string" or not self.tokens[given] then httpd.fail(401, nil, "Invalid credentials") end
  self.tokens[given] = nil
  local secret = ids.hex(24)
  self.sessions[secret] = true
  return 200, { session = secret }
end

---An address of the page that is good once.
---@param context table
---@return string
function page.address(context)
  local self, token = context.page, ids.hex(16)
  self.given[#self.given + 1], self.tokens[token] = token, true
  if #self.given > MOST_TOKENS then self.tokens[table.remove(self.given, 1)] = nil end
  return ("%s://127.0.0.1:%d/#%s"):format(context.scheme, context.port, token)
end

-- What there is ------------------------------------------------------------------------

local function decoded(text)
  local value = text and json.decode(text)
  return type(value) == "table" and value or {}
end

-- What every sandbox has, and what the client's jobs are kept by; each a pattern.
local USUAL = {
  "/run/daytona/", "daytona%.devserver", "ps %-eo", "^bwrap ", "^sleep infinity$", "^%S*sh$",
  "%.daytona/lua%-jobs/%S+/%a+", "^%[",
}

local function is_usual(text)
  for _, pattern in ipairs(USUAL) do
    if text:find(pattern) then return true end
  end
  return false
end

-- Processes of a sandbox; not where they are not kept apart from the machine's.
local function processes(context, box)
  if not context.isolated then return json.array {} end
  local answer = decoded(admin.ask(box, "POST", "/process/execute", { command = "ps -eo pid=,etimes=,args=" }))
  local list = json.array {}
  for line in tostring(answer.result or ""):gmatch "[^\n]+" do
    local pid, age, text = line:match "^%s*(%d+)%s+(%d+)%s+(.+)$"
    if pid and not is_usual(text) then
      list[#list + 1] = { pid = tonumber(pid), age = tonumber(age), text = text:sub(1, 200) }
    end
  end
  return list
end

local function commands(box)
  local list = json.array {}
  for _, session in ipairs(decoded(admin.ask(box, "GET", "/process/session"))) do
    for _, command in ipairs(session.commands or {}) do
      list[#list + 1] = {
        session = session.sessionId, id = command.id, exit_code = command.exitCode,
        text = (tostring(command.command):gsub("%s*# daytona%-lua:%S*%s*$", "")), -- (the client's mark)
      }
    end
  end
  return list
end

local function terminals(box)
  local list = json.array {}
  for _, each in ipairs(decoded(admin.ask(box, "GET", "/process/pty")).sessions or {}) do
    list[#list + 1] = { id = each.id, active = each.active }
  end
  return list
end

local function previews(context, box)
  local list = json.array {}
  for _, port in ipairs(decoded(admin.ask(box, "GET", "/port")).ports or {}) do
    list[#list + 1] = {
      port = port, url = ("%s://%d-%s.localhost:%d/?DAYTONA_SANDBOX_AUTH_KEY=%s"):format(
        context.scheme, port, box.id, context.port, box.preview_token),
    }
  end
  return list
end

local function describe(context, box, now)
  local about = {
    id = box.id, name = box.name, state = box.state, desired = box.desired, reason = box.error_reason,
    age = math.floor(now - box.created), snapshot = box.snapshot, running = false,
  }
  if box.daemon and box.daemon:running() then
    about.running = true
    about.processes, about.commands = processes(context, box), commands(box)
    about.terminals, about.previews = terminals(box), previews(context, box)
  end
  return about
end

local function state(self)
  local context, boxes, now = self.context, json.array {}, self.context.clock:now()
  for _, box in pairs(context.store.by_id) do
    if not box.synthetic then boxes[#boxes + 1] = describe(context, box, now) end
  end
  table.sort(boxes, function(a, b) return a.age == b.age and a.id < b.id or a.age < b.age end)
  return {
    sandboxes = boxes, requests = json.array(self.requests), faults = json.array(context.faults:all()),
    switches = {
      strict = context.app.strict == true, lag = context.life.lag == true,
      open_build_logs = context.open_build_logs == true,
    },
    time_scale = context.clock.scale, isolated = context.isolated == true,
  }
end

-- Streams ------------------------------------------------------------------------------

local EVENTS = { ["content-type"] = "text/event-stream", ["cache-control"] = "no-store" }

local function event(value)
  return "data: " .. json.encode(value) .. "\n\n"
end

-- What there is, whenever it has changed, as long as somebody listens.
local function events(self, req)
  return 200, function(write)
    local last
    repeat
      local text = event(state(self))
      if text ~= last and not write(text) then return end
      last = text
    until self.context.why or req:wait(PAUSE)
  end, EVENTS
end

local function box_of(self, id)
  local box = self.context.store.by_id[id or ""]
  if not box then httpd.fail(404, nil, "Sandbox not found") end
  return box
end

-- A part of a path that the browser named.
local function segment(text)
  return (tostring(text or ""):gsub("[^%w%-_.]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function without_marks(text)
  return (text:gsub("\1\1\1", ""):gsub("\2\2\2", ""))
end

-- What a command has printed, and what it prints.
local function command_output(req, box)
  local path = ("/process/session/%s/command/%s/logs"):format(segment(req.query.session), segment(req.query.command))
  return function(write)
    local sent = 0
    repeat
      local text = without_marks(admin.ask(box, "GET", path) or "")
      if #text > sent and not write(event { text = text:sub(sent + 1) }) then return end
      sent = math.max(sent, #text)
    until req:wait(PAUSE)
  end
end

-- What a terminal shows from now on: this is one more that looks at it.
local function terminal_output(req, box)
  return function(write)
    local uri = ("ws://127.0.0.1:%d/toolbox/%s/process/pty/%s/connect"):format(
      box.daemon.port, box.id, segment(req.query.terminal))
    local ws = websocket.new_from_uri(uri)
    ws.request.headers:upsert("authorization", "Bearer " .. box.daemon.key)
    if not ws:connect(5) then return end
    repeat
      local data, kind = ws:receive(0.2)
      if data and kind == "binary" and not write(event { text = data }) then break end
    until (not data and ws.readyState ~= 1) or req:gone()
    ws:close(1000, nil, 1)
  end
end

local function output(self, req)
  local box = box_of(self, req.query.sandbox)
  if not box.daemon or not box.daemon:running() then httpd.fail(409, nil, "The sandbox does not run") end
  return 200, (req.query.terminal and terminal_output or command_output)(req, box), EVENTS
end

-- Routes -------------------------------------------------------------------------------

local function static(self, kind, text)
  local headers = { ["content-type"] = kind .. "; charset=utf-8" }
  for name, value in pairs(STATIC) do headers[name] = value end
  return function(req)
    check_names(self.context, req)
    return 200, text, headers
  end
end

-- Notes what the control plane is asked, the last ones.
local function note_requests(self, app)
  local before = app.on_request
  app.on_request = function(req, status)
    if before then before(req, status) end
    if req.path:find "^/__devserver/" or req.full_path == "/" then return end
    table.insert(self.requests, 1, {
      method = req.method, path = req.path, status = status, at = math.floor(self.context.clock:now()),
      ms = math.floor((cqueues.monotime() - req.started) * 1000 + 0.5),
    })
    self.requests[REQUESTS + 1] = nil
  end
end

-- The same as the calls that the key may make.
local function borrow(self, method, path, name)
  local route = self.context.app.router:find(method, path)
  self.context.app:route(method, BASE .. name, route.handler, { auth = function(req) return is_known(self, req) end })
end

---Adds the page; after admin.add.
---@param context table
function page.add(context)
  local self = { context = context, tokens = {}, given = {}, sessions = {}, requests = {} }
  local app, divert, home = context.app, context.app.divert, static(self, "text/html", files.html)
  context.page = self
  note_requests(self, app)
  app.divert = function(req)
    local other = divert(req)
    if other or req.full_path ~= "/" or req.method ~= "GET" then return other end
    return function() return home(req) end
  end
  local function route(method, name, handler, auth)
    app:route(method, BASE .. name, handler, { auth = auth or function(req) return is_known(self, req) end })
  end
  local function anybody() return true end
  app:route("GET", BASE, function() return 200, { url = page.address(context) } end)
  route("GET", "/page.js", static(self, "text/javascript", files.script), anybody)
  route("GET", "/page.css", static(self, "text/css", files.style), anybody)
  route("POST", "/session", function(req) return open_session(self, req) end, anybody)
  route("GET", "/events", function(req) return events(self, req) end)
  route("GET", "/output", function(req) return output(self, req) end)
  route("POST", "/delete", function(req)
    context.life:delete(box_of(self, req:json().sandbox))
    return 204
  end)
  borrow(self, "POST", "/__devserver/faults", "/faults")
  borrow(self, "DELETE", "/__devserver/faults", "/faults")
  borrow(self, "PUT", "/__devserver/settings", "/settings")
end

return page
