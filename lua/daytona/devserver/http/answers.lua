-- How an answer goes out, over HTTP/1 and HTTP/2.
--
-- A writer hides the version: head(status, headers, length), where a length of nil
-- means chunked; write(data); finish(). All return true, or nil once the connection is
-- unusable. lua-http writes HTTP/2. It would write HTTP/1, too, but head and body in two
-- pieces, which is two packets and two wake-ups of the client for each small answer; so
-- that is done here, in one, on the connection's `socket`, with `set_state` to tell
-- the stream.

local new_headers = require "http.headers".new
local reasons = require "http.h1_reason_phrases"
local gzip = require "daytona.devserver.http.gzip"
local json = require "daytona.devserver.http.json"

local answers = {}

local SLICE = 64 * 1024           -- the largest piece written at once
local JSON_TYPE = "application/json; charset=utf-8"

local function bodiless(status) return status == 204 or status == 304 end

-- HTTP/1 -------------------------------------------------------------------------

local H1 = {}
H1.__index = H1

local function field_lines(lines, headers)
  for name, value in pairs(headers) do
    for _, each in ipairs(type(value) == "table" and value or { value }) do
      lines[#lines + 1] = name .. ": " .. tostring(each)
    end
  end
end

function H1:head(status, headers, length)
  local lines = { "HTTP/1.1 " .. status .. " " .. (reasons[tostring(status)] or "Unknown") }
  field_lines(lines, headers)
  if bodiless(status) then
    self.head_only = true
  elseif length then
    lines[#lines + 1] = "content-length: " .. length
  elseif not self.last then
    lines[#lines + 1] = "transfer-encoding: chunked"
    self.chunked = true
  end
  if self.last then lines[#lines + 1] = "connection: close" end
  lines[#lines + 1] = "\r\n"
  self.pending = table.concat(lines, "\r\n")
  return true
end

local function raw(self, data)
  local socket = self.stream.connection.socket
  return socket and socket:xwrite(data, "bn") and true or nil
end

function H1:write(data)
  if self.head_only or data == "" then return true end
  if self.chunked then data = string.format("%x\r\n%s\r\n", #data, data) end
  if self.pending then
    data = self.pending .. data
    self.pending = nil
  end
  return raw(self, data)
end

function H1:flush()
  if not self.pending then return true end
  local data = self.pending
  self.pending = nil
  return raw(self, data)
end

function H1:finish()
  local tail = (self.pending or "") .. ((self.chunked and not self.head_only) and "0\r\n\r\n" or "")
  self.pending = nil
  if tail ~= "" and not raw(self, tail) then return nil end
  local stream = self.stream
  if stream.connection.socket and stream.state ~= "closed" then
    stream:set_state(stream.state == "half closed (remote)" and "closed" or "half closed (local)")
  end
  return true
end

-- HTTP/2 -------------------------------------------------------------------------

local H2 = {}
H2.__index = H2

-- lua-http raises where the client has reset the stream or is gone.
local function is_gone(stream)
  local socket = stream.connection.socket
  if stream.state == "closed" or not socket then return true end
  local open, ended = pcall(socket.eof, socket, "w") -- (raises on one that was closed)
  return not open or ended
end

local function tell(stream, method, ...)
  if is_gone(stream) then return nil end
  local ok, done = pcall(stream[method], stream, ...)
  if not ok and not is_gone(stream) then error(done, 0) end
  return ok and done or nil
end

function H2:head(status, headers, length)
  local h = new_headers()
  h:append(":status", tostring(status))
  for name, value in pairs(headers) do
    for _, each in ipairs(type(value) == "table" and value or { value }) do
      h:append(name:lower(), tostring(each))
    end
  end
  if length and not bodiless(status) then h:append("content-length", tostring(length)) end
  self.ended = self.head_only or length == 0
  self.left = length
  return tell(self.stream, "write_headers", h, self.ended)
end

function H2:write(data)
  if self.ended then return true end
  if self.left then self.left = self.left - #data end
  self.ended = self.left == 0     -- (what is told later comes when libcurl has reset the stream)
  return tell(self.stream, "write_chunk", data, self.ended)
end

function H2.flush() return true end

function H2:finish()
  if self.ended then return true end
  self.ended = true
  return tell(self.stream, "write_chunk", "", true)
end

-- Either ---------------------------------------------------------------------------

local function new_writer(req)
  local two = req.stream.connection.version == 2
  return setmetatable({ stream = req.stream, head_only = req.method == "HEAD", last = req.last }, two and H2 or H1)
end

local function as_bytes(body, headers)
  if body == nil then return "" end
  if type(body) == "table" then
    headers["content-type"] = headers["content-type"] or JSON_TYPE
    return json.encode(body)
  end
  return body
end

-- The headers of an answer: what the request has gathered, and the handler's own.
local function fields_of(req, headers)
  local fields = {}
  if req.app.version then fields["x-daytona-api-version"] = req.app.version end
  if req.app.clock then fields.date = os.date("!%a, %d %b %Y %H:%M:%S GMT", math.floor(req.app.clock:now())) end
  for _, list in ipairs { req.extra or {}, headers or {} } do
    for name, value in pairs(list) do fields[name:lower()] = value end
  end
  return fields
end

local function write_body(writer, body)
  if type(body) == "function" then
    writer:flush()
    if not writer.head_only then body(function(data) return writer:write(data) end) end
    return true
  end
  for i = 1, #body, SLICE do
    if not writer:write(#body <= SLICE and body or body:sub(i, i + SLICE - 1)) then return false end
  end
  return true
end

---Sends the one answer of a request.
---@param req table
---@param status integer
---@param body nil|string|table|fun(write: fun(data: string): boolean?)
---@param headers? table<string, string|string[]>
---@param shape? table  of a fault: may slow or break it
function answers.send(req, status, body, headers, shape)
  local writer, fields = new_writer(req), fields_of(req, headers)
  req.status, req.answered = status, true
  local length
  if type(body) == "function" then
    length = tonumber(fields["content-length"])
  else
    body = as_bytes(body, fields)
    -- What a fault cuts or slows is counted in the bytes that were meant.
    if not shape then body = gzip.answer(req.headers["accept-encoding"], status, body, fields) end
    length = #body
  end
  fields["content-length"] = nil
  if shape then writer = shape:wrap(req, writer, length) end
  if writer:head(status, fields, length) and write_body(writer, body) then writer:finish() end
end

return answers
