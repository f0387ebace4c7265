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

local json = require "cjson"

local runner = {}

local PATIENCE = 10       -- seconds for a state to come

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

-- Running --------------------------------------------------------------------------------

function Run:check(fact)
  if fact.wait then return self:wait(fact) end
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
  for _, id in ipairs(run.made) do run:ask { nil, nil, "DELETE", "/sandbox/" .. id, method = "DELETE" } end
  os.remove(file)
  os.remove(file .. ".in")
  return report
end

return runner
