-- Socket.IO, version 5 over Engine.IO 4: the frames that a server and we exchange over a
-- WebSocket, as far as a listener needs them. Only texts here: nothing is sent, and
-- nothing is known of what events mean.

local json = require "daytona.http.json"

local socket_io = {}

---What a frame is.
---@alias daytona.SocketIoKind
---| "open"        the first one: its value has sid, pingInterval and pingTimeout (milliseconds)
---| "ping"        to be answered at once with `pong`; its value is what came with it
---| "connected"   we are let in
---| "refused"     we are not; its value is why, a text
---| "event"       a name, and a table
---| "left"        the server ends the conversation, or the connection
---| "other"       what concerns a listener not

-- Engine.IO's types: the first character.
local function opened(text)
  local value = json.decode(text)
  if type(value) ~= "table" then return nil, "an opening without an object" end
  return "open", value
end

-- What stands before the data of a Socket.IO packet: attachments ("2-"), a namespace
-- ("/admin,") and the number of an acknowledgement.
local function data_of(text)
  local rest = text:gsub("^%d+%-", "")
  local namespace, behind = rest:match "^(/[^,]*),?(.*)$"
  if namespace then rest = behind end
  return rest:gsub("^%d+", ""), namespace
end

local function refusal(text)
  local value = json.decode(text)
  local why = type(value) == "table" and value.message or value
  return type(why) == "string" and why or "no reason"
end

local function event(text)
  local value = json.decode(text)
  if type(value) ~= "table" or type(value[1]) ~= "string" then return nil, "an event without a name" end
  return "event", value[1], type(value[2]) == "table" and value[2] or {}
end

-- Socket.IO's types: the character behind a 4.
local PACKETS = {
  ["0"] = function() return "connected" end,
  ["1"] = function() return "left" end,
  ["2"] = event,
  ["4"] = function(text) return "refused", refusal(text) end,
}

local function message(text)
  local packet = PACKETS[text:sub(1, 1)]
  if not packet then return "other" end
  local data, namespace = data_of(text:sub(2))
  if namespace and namespace ~= "/" then return "other" end
  return packet(data)
end

local FRAMES = {
  ["0"] = opened,
  ["1"] = function() return "left" end,
  ["2"] = function(text) return "ping", text end,
  ["4"] = message,
}

---What a frame says. nil and what is wrong with it when it is none.
---@param text string
---@return daytona.SocketIoKind?
---@return any value
---@return table? payload  of an event
function socket_io.parse(text)
  local kind = text:sub(1, 1)
  if not kind:find "^[0-6]$" then return nil, "no frame of Engine.IO" end
  local frame = FRAMES[kind]
  if not frame then return "other" end
  return frame(text:sub(2))
end

---The answer to a ping.
---@param with? string  what came with it
---@return string
function socket_io.pong(with)
  return "3" .. (with or "")
end

---Asks to be let in, into the namespace that is there.
---@param credential string
---@return string
function socket_io.connect(credential)
  return "40" .. json.encode { token = credential }
end

---Says goodbye.
socket_io.LEAVE = "41"

---The path, and the query, at which such a server is asked for a WebSocket.
socket_io.PATH = "/socket.io/"
socket_io.QUERY = { { "EIO", "4" }, { "transport", "websocket" } }

return socket_io
