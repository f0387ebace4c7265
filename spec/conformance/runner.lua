-- Plays recorded facts against a server of the service, local or not, by the curl
-- program, and says where it differs. A second source of truth beside the specs, which
-- were written by those who wrote the client.
--
-- A fact is { set, label, method, path, status, ... } with
--
--   body, type      the request's, as text; its Content-Type (JSON)
--   auth            instead of the key: "none", "wrongkey", "basic", "emptybearer", "jwtlike"
--   at              "toolbox": the path is one of a sandbox's daemon (of {box})
--   message         what the error says, whole; "~..." is a pattern that it matches
--   code            its code
--   fields          "name=type ..." of the answer's object, or "array"; text = a pattern of
--                   the body
--   desired         the sandbox's desired state in the answer
--   save            keeps the answer's id under this name, for {name} in what follows
--   only            "legacy" or "new": the flavour that it is a fact of
--
-- or { set, label, wait = name, states = "starting started" }: the sandbox comes to the
-- last state within `patience` seconds, through these in this order ("404": it is gone);
-- `of` is the path of what is no sandbox.
--
-- or { set, label, listen = true }: the event stream begins as recorded, and is heard from
-- then on ("wrongkey": with a key that is none, which is told so)
--
-- or { set, label, heard = name, events = "sandbox.created sandbox.state.updated:creating>started" }:
-- these events of the thing have come within `patience` seconds, in this order, and no other
-- before or between them.

local json = require "cjson"

local runner = {}

local PATIENCE = 10       -- seconds for a state to come
local CLIENT = debug.getinfo(1, "S").source:match "^@(.*)conformance/runner%.lua$" .. "support/wsclient.lua"
local unpack = table.unpack or unpack

local function quote(word)
  return "'" .. tostring(word):gsub("'", "'\\''") .. "'"
end

local function sh(command)
  local pipe = assert(io.popen(command, "r"))
  local text = pipe:read "*a"
  pipe:close()
  return text
end

local Run = {}
Run.__index = Run

-- A text with this run's names in the place of the recorded ones.
function Run:filled(text)
  return (text:gsub("{(%w+)}", self.names))
end

local AUTH = {
  none = false, wrongkey = "Bearer dtn_wrong", basic = "Basic YTpi", emptybearer = "Bearer ",
  jwtlike = "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x",
}

local function authorization(self, fact)
  if fact.auth then return AUTH[fact.auth] end
  return "Bearer " .. self.key
end

-- Where the daemon of {box} is.
local function toolbox_of(self)
  if not self.toolbox then
    local _, answer = self:ask { nil, nil, "GET", "/sandbox/{box}/toolbox-proxy-url", method = "GET" }
    self.toolbox = self:filled(tostring(answer and answer.url) .. "/{box}")
  end
  return self.toolbox
end

function Run:ask(fact)
  local base = fact.at == "toolbox" and toolbox_of(self) or self.url
  local words = { "curl -sS -g -m 60 -o", self.file, "-w '%{http_code}' -X", fact.method,
    quote(base .. self:filled(fact[4]):gsub(" ", "%%20")) }
  local function add(...)
    for _, word in ipairs { ... } do words[#words + 1] = word end
  end
  local header = authorization(self, fact)
  if header then add("-H", quote("Authorization: " .. header)) end
  if fact.body then
    local out = assert(io.open(self.file .. ".in", "wb"))
    out:write(self:filled(fact.body))
    out:close()
    add("--data-binary @" .. self.file .. ".in", "-H", quote("Content-Type: " .. (fact.type or "application/json")))
  end
  os.remove(self.file)
  local status = tonumber(sh(table.concat(words, " ") .. " 2>/dev/null"))
  local file = io.open(self.file, "rb")
  local body = file and file:read "*a" or ""
  if file then file:close() end
  local ok, decoded = pcall(json.decode, body)
  return status, ok and type(decoded) == "table" and decoded or nil, body
end

-- Comparing ------------------------------------------------------------------------------

local function type_of(value)
  if value == nil then return "absent" end
  if value == json.null then return "null" end
  if type(value) ~= "table" then return type(value) end
  return (#value > 0 or next(value) == nil) and "array" or "object"
end

local function same_type(value, wanted)
  local found = type_of(value)
  -- an empty table may be either
  return found == wanted or type(value) == "table" and next(value) == nil and (wanted == "object" or wanted == "array")
end

local function compare_fields(answer, fields)
  if type(answer) ~= "table" then return "no JSON object or list" end
  if fields == "array" then
    return not same_type(answer, "array") and "not a list" or nil
  end
  for name, wanted in fields:gmatch "(%S+)=(%S+)" do
    if not same_type(answer[name], wanted) then
      return ("%s is %s, not %s"):format(name, type_of(answer[name]), wanted)
    end
  end
end

-- The words of a text in one order: lists of what is allowed have none.
local function in_order(text)
  local words = {}
  for word in tostring(text):gmatch "[^%s,]+" do words[#words + 1] = word end
  table.sort(words)
  return table.concat(words, " ")
end

local function compare_text(found, wanted, what)
  if wanted:sub(1, 1) == "~" and tostring(found):find(wanted:sub(2)) then return nil end
  if found == wanted or in_order(found) == in_order(wanted) then return nil end
  return ("%s is %s, not %s"):format(what, tostring(found), wanted)
end

local function message_of(answer)
  if type(answer) ~= "table" then return nil end
  local message = answer.message
  if message == nil then message = answer.error end
  return type(message) == "table" and table.concat(message, ", ") or message
end

-- What is different about an answer, or nil.
local function difference(self, fact, status, answer, body)
  if status ~= fact[5] then
    return ("status %s, not %d (%s)"):format(tostring(status), fact[5],
      tostring(message_of(answer) or body):sub(1, 120))
  end
  return fact.message and compare_text(message_of(answer), self:filled(fact.message), "the message")
    or fact.code and compare_text(answer and answer.code, fact.code, "the code")
    or fact.fields and compare_fields(answer, fact.fields)
    or fact.text and compare_text(body, "~" .. fact.text, "the body")
    or fact.desired and compare_text(answer.desiredState, fact.desired, "desiredState")
    or nil
end

-- Waits ----------------------------------------------------------------------------------

local function state_of(self, path)
  local status, answer = self:ask { nil, nil, "GET", path, method = "GET" }
  if status == 404 then return "404" end
  return answer and answer.state or tostring(status)
end

function Run:wait(fact)
  local id = self.names[fact.wait]
  if not id then return "there is no such sandbox in this run" end
  local states, place = {}, {}
  for state in fact.states:gmatch "%S+" do
    states[#states + 1], place[state] = state, #states + 1
  end
  local at, ends = 0, os.time() + (fact.patience or PATIENCE)
  local last
  repeat
    last = state_of(self, (fact.of or "/sandbox/") .. id)
    if place[last] and place[last] < at then return ("%s comes after %s"):format(last, states[at]) end
    at = place[last] or at
    if last == states[#states] then return nil end
    sh "sleep 0.05"
  until os.time() > ends
  return ("it is %s, not %s"):format(last, states[#states])
end

-- Events ---------------------------------------------------------------------------------

-- A process that writes each frame as a line of its file.
local function listener(self, key, last)
  local path = self.file .. ".events"
  local plan = assert(io.open(path .. ".plan", "w"))
  plan:write(json.encode {
    url = self.url:gsub("^http", "ws") .. "/socket.io/?EIO=4&transport=websocket", timeout = 120,
    steps = { { after = "0{", send = "40" .. json.encode { token = key } }, last },
  })
  plan:close()
  local pid = sh(("luajit '%s' '%s' >'%s' 2>&1 & echo $!"):format(CLIENT, path .. ".plan", path)):match "%d+"
  return { pid = pid, path = path }
end

local function close(self, ear)
  sh(("kill %s 2>/dev/null; while kill -0 %s 2>/dev/null; do sleep 0.01; done"):format(ear.pid, ear.pid))
  os.remove(ear.path)
  os.remove(ear.path .. ".plan")
  if self.ear == ear then self.ear = nil end
end

local function frames_of(ear)
  local list = {}
  local file = assert(io.open(ear.path))
  for line in file:lines() do
    local hex = line:match "^text (%x+)$"
    list[#list + 1] = hex and hex:gsub("%x%x", function(byte) return string.char(tonumber(byte, 16)) end) or line
  end
  file:close()
  return list
end

-- What `look` says of the frames once it says something, or after the patience what else.
local function await_frames(ear, look, patience)
  local ends = os.time() + (patience or PATIENCE)
  local frames, found
  repeat
    frames = frames_of(ear)
    found = look(frames)
    if found == nil then sh "sleep 0.05" end
  until found ~= nil or os.time() > ends
  return found, frames
end

local REFUSED, ACCEPTED = '44{"message":"Unauthorized"}', '~^40{"sid":"[%w_-]+"}$'
local HELLO = { pingInterval = 25000, pingTimeout = 20000, maxPayload = 1000000 }

local function hello_differs(frame)
  local hello = json.decode(frame:sub(2))
  for name, wanted in pairs(HELLO) do
    if hello[name] ~= wanted then return ("%s is %s, not %d"):format(name, tostring(hello[name]), wanted) end
  end
  return compare_fields(hello, "sid=string upgrades=array")
end

function Run:listen(fact)
  local wrong = fact.listen == "wrongkey"
  local ear = listener(self, wrong and "dtn_wrong" or self.key, wrong and { after = "44{", close = 1000 } or nil)
  local _, frames = await_frames(ear, function(frames) return frames[3] and true or nil end)
  local what = not (frames[2] and frames[2]:find "^0{") and "no handshake" or hello_differs(frames[2])
    or compare_text(frames[3] or "nothing", wrong and REFUSED or ACCEPTED, "its answer")
  if wrong then close(self, ear) else self.ear = ear end
  return what
end

-- "sandbox.state.updated:creating>started" of a frame, if it is an event of this thing.
local function event_of(frame, id)
  if frame:sub(1, 2) ~= "42" then return nil end
  local name, body = unpack(json.decode(frame:sub(3)))
  local thing = body.sandbox or body.volume or type(body.snapshot) == "table" and body.snapshot or body
  if thing.id ~= id then return nil end
  local old, new = body.oldState or body.oldDesiredState, body.newState or body.newDesiredState
  return old and ("%s:%s>%s"):format(name, old, new) or name
end

function Run:heard(fact)
  local id = self.names[fact.heard]
  if not id or not self.ear then return "nobody listens, or there is no such thing in this run" end
  local wanted, count = fact.events:gsub("%s+", " "), select(2, fact.events:gsub("%S+", ""))
  local heard
  await_frames(self.ear, function(frames)
    local list = {}
    for _, frame in ipairs(frames) do list[#list + 1] = event_of(frame, id) end
    heard = table.concat(list, " ", 1, math.min(#list, count))
    return #list >= count or nil
  end, fact.patience)
  return heard ~= wanted and ("heard %s, not %s"):format(heard, wanted) or nil
end

-- Running --------------------------------------------------------------------------------

function Run:check(fact)
  if fact.wait then return self:wait(fact) end
  if fact.listen then return self:listen(fact) end
  if fact.heard then return self:heard(fact) end
  fact.method = fact[3]
  local status, answer, body = self:ask(fact)
  if fact.save and answer then
    self.names[fact.save] = answer.id
    self.made[#self.made + 1] = answer.id
  end
  return difference(self, fact, status, answer, body)
end

--- Plays facts in their order. Sandboxes that it made are deleted at the end.
---@param server { url: string, key: string, flavour: "new"|"legacy" } # the API's base
---@param facts table[]
---@param deliberate table<string, string> # "set/label" → why that may differ
---@return { played: integer, differences: { fact: string, what: string, why: string? }[] }
function runner.play(server, facts, deliberate)
  local file = os.tmpname()
  local token = ("%x"):format(os.time() % 0xffffff) .. file:gsub("%W", ""):sub(-3)
  local run = setmetatable({
    url = server.url, key = server.key, file = file, made = {},
    names = { run = "r" .. token:lower(), RUN = "R" .. token:upper() },
  }, Run)
  local report = { played = 0, differences = {} }
  for _, fact in ipairs(facts) do
    if not fact.only or fact.only == server.flavour then
      report.played = report.played + 1
      local name = fact[1] .. "/" .. fact[2]
      local what = run:check(fact)
      if what then
        table.insert(report.differences, { fact = name, what = what, why = deliberate[name] })
      end
    end
  end
  if run.ear then close(run, run.ear) end
  for _, id in ipairs(run.made) do run:ask { nil, nil, "DELETE", "/sandbox/" .. id, method = "DELETE" } end
  os.remove(file)
  os.remove(file .. ".in")
  return report
end

return runner
