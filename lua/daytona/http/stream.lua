-- What flows while a request is under way: chunks of a source going out, chunks that
-- a sink takes, progress. Functions of the caller are called here and nowhere else.

local core = require "daytona.base.native"
local errors = require "daytona.base.errors"
local failure = require "daytona.http.failure"
local loop = require "daytona.loop"

local stream = {}

local DONE, READABLE, WRITABLE, PROGRESS = core.DONE, core.READABLE, core.WRITABLE, core.PROGRESS

---The function that gives the body of a request, or of one of its parts; nil when
---there is none.
---@param request daytona.Request
---@return (fun(): string?, any)?
function stream.source_of(request)
  if request.body_source then return request.body_source end
  for _, part in ipairs(request.parts or {}) do
    if part.source then return part.source end
  end
end

-- Why a function of the caller's ended the transfer: on purpose, so nothing has failed here.
local function give_up(code, reason)
  if errors.is(reason) then return reason end
  local err = failure.from_transport(code)
  err.message = reason ~= nil and "stopped: " .. tostring(reason) or "stopped"
  return err
end

-- Offers chunks until the queue is full. Returns the source while it has more,
-- and the chunk that was not taken; or nil, nil, err.
local function feed(op, source, chunk)
  while true do
    local rested, stopped = loop.breathe()
    if not rested then return nil, nil, stopped end
    if chunk == nil then
      local reason
      chunk, reason = source()
      if chunk == nil and reason ~= nil then return nil, nil, give_up("source", reason) end
      if chunk == nil then
        op.transfer:finish()
        return nil
      end
      if type(chunk) ~= "string" then
        errors.misuse(1, "upload: the source returned a %s; it returns strings, and nil at the end", type(chunk))
      end
    end
    if chunk ~= "" then
      local taken = op.transfer:write(chunk)
      if taken == false then return source, chunk end
      if not taken then return nil end -- the transfer is over; it will say why
    end
    chunk = nil
  end
end

-- Writes what has arrived to a file that may have to wait for its reader. true, or nil, err.
local function pour(op, file)
  local done = 0
  while true do
    local message, errno
    done, message, errno = op.transfer:pour(file, done)
    if message then return nil, failure.from_transport("sink", message, errno) end
    if not done then return true end
    local rested, stopped = loop.breathe()
    if not rested then return nil, stopped end
  end
end

-- Hands over what has arrived. true, or nil, err.
local function drain(op, request)
  local sink, on_headers = request.sink, request.on_headers
  if io.type(sink) then return pour(op, sink) end
  local chunk = op.transfer:read()
  if chunk and on_headers and not op.announced then
    op.announced = true
    on_headers(op.transfer)
  end
  while chunk do
    local kept, reason = sink(chunk)
    if kept == false then return nil, give_up("sink", reason) end
    local rested, stopped = loop.breathe()
    if not rested then return nil, stopped end
    chunk = op.transfer:read()
  end
  return true
end

local function report(op, request)
  local received, receiving, sent, sending = op.transfer:progress()
  if request.parts or request.body or request.body_file or request.body_source then
    request.on_progress(sent, sending)
  else
    request.on_progress(received, receiving)
  end
end

---Keeps streams and progress going until the transfer is over. true, or nil, err.
---@param op daytona.Op
---@param request daytona.Request
---@return boolean?
---@return daytona.Error?
function stream.run(op, request)
  local source = stream.source_of(request)
  local chunk, err
  local sink, progress = request.sink, request.on_progress
  local mask = DONE + (sink and READABLE or 0) + (progress and PROGRESS or 0)
  while not op.done do
    if source then
      source, chunk, err = feed(op, source, chunk)
      if err then return nil, err end
    end
    if not op.done then
      local happened
      happened, err = loop.wait(op, mask + (source and WRITABLE or 0))
      if not happened then return nil, err end
    end
    if sink then
      local fine
      fine, err = drain(op, request)
      if not fine then return nil, err end
    end
    if progress then report(op, request) end
  end
  if sink then return drain(op, request) end
  return true
end

return stream
