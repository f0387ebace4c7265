-- What is read like a file: a job's output, a file, a terminal, a followed command.
-- Here are the formats of `file:read`, iterators, time limits, and the one rule for
-- several tasks that read the same thing: each gets what the others do not, and every
-- line and number is whole.
--
-- A source is an object with
--
--   buffer           a daytona.LineBuffer: what has come and nobody has asked for
--   fill(deadline)   a method that brings more. true: there may be something new;
--                    false: that was all; nil, err, of kind "timeout" when `deadline`
--                    (on the clock of loop.now) passed. One task at a time is in it.
--   subject()        a method: the sandbox, and what is read, for errors
--   most()           a method, if there is a limit: bytes that "a" may come to
--   line_end         if it is not "\n$": the pattern of what "l" takes off a line
--
-- It sends nothing, and knows no endpoint.

local compat = require "daytona.base.compat"
local errors = require "daytona.base.errors"
local formats = require "daytona.base.formats"
local loop = require "daytona.loop"
local new_latch = require "daytona.loop.latch"
local numeral = require "daytona.base.numeral"
local options = require "daytona.base.options"

local reader = {}

--- Bringing more --------------------------------------------------------------------------

local function bring(self)
  return self.bring(self.source, self.deadline)
end

local function release(self)
  local source = self.source
  if source.filling == self then source.filling = nil end
  if self.latch then self.latch:open() end
end

-- Whether another task is bringing more, which has not been ended by its host.
local function is_busy(turn)
  return turn ~= nil and not (turn.task and turn.task:done())
end

---Calls a function that takes what comes from the source, unless another task is at it,
---which then is waited for. Returns as `fill` does.
---@param self table
---@param take fun(self: table, deadline?: number): boolean?, daytona.Error?
---@param deadline? number
---@return boolean?
---@return daytona.Error?
function reader.turn(self, take, deadline)
  local other = self.filling
  if is_busy(other) then
    other.latch = other.latch or new_latch()
    local came, err = loop.join(other.latch, deadline)
    if not came then return nil, reader.explain(self, err) end
    return true
  end
  local turn = { source = self, bring = take, deadline = deadline, task = loop.current() }
  self.filling = turn
  local fine, err = loop.guard(bring, release, turn)
  release(turn)
  return fine, err
end

local function more(self, deadline)
  return reader.turn(self, self.fill, deadline)
end

---Says of an error what was read.
---@param self table
---@param err daytona.Error
---@return daytona.Error
function reader.explain(self, err)
  local sandbox, what = self:subject()
  err.operation, err.sandbox, err.what = err.operation or "read", err.sandbox or sandbox, err.what or what
  return err
end

---The error of a source whose deadline passed.
---@param self table
---@return nil
---@return daytona.Error
function reader.too_late(self)
  return nil, reader.explain(self, errors.new { kind = "timeout", code = "wait", message = "nothing came in time" })
end

---The error of a source of which there is more than is held.
---@param self table
---@return daytona.Error
function reader.too_large(self)
  return reader.explain(self, errors.new {
    kind = "too_large", code = "too_large", message = "there is more to read than allowed",
  })
end

--- Formats ---------------------------------------------------------------------------------

local READ = {}

function READ.line(self, deadline)
  while true do
    local line = self.buffer:line()
    if line then return line end
    local fine, err = more(self, deadline)
    if fine == nil then return nil, err end
    if not fine then return self.buffer:line() or self.buffer:take(math.huge) end
  end
end

function READ.all(self, deadline)
  local most = self.most and self:most() or math.huge
  while true do
    if self.buffer.size > most then return nil, reader.too_large(self) end
    local fine, err = more(self, deadline)
    if fine == nil then return nil, err end
    if not fine then return self.buffer:take(math.huge) or "" end
  end
end

function READ.bytes(self, deadline, n)
  while true do
    local data = self.buffer.size >= math.max(n, 1) and self.buffer:take(n)
    if data then return data end
    local fine, err = more(self, deadline)
    if fine == nil then return nil, err end
    if not fine then return self.buffer:take(n) end
  end
end

-- What of a number the buffer begins with, after blanks, which are taken; and whether
-- that is all of it.
local function number_ahead(buffer)
  local ahead = buffer:ahead(numeral.LONGEST)
  local space = #ahead:match("^%s*")
  local text = numeral.beginning(ahead:sub(space + 1))
  if space > 0 then buffer:take(space) end
  return text, space + #text < #ahead or #text == numeral.LONGEST
end

function READ.number(self, deadline)
  while true do
    local text, is_whole = number_ahead(self.buffer)
    local fine, err = true, nil
    if not is_whole then fine, err = more(self, deadline) end
    if fine == nil then return nil, err end
    if not fine then text = number_ahead(self.buffer) end
    if is_whole or not fine then
      if text ~= "" then self.buffer:take(#text) end
      return tonumber(text)
    end
  end
end

local function read_one(state, format)
  local self, deadline = state.source, state.deadline
  local rested, stopped = loop.breathe()
  if not rested then return nil, stopped end
  if type(format) == "number" then
    options.argument("read: the number of bytes", "count", format)
    return READ.bytes(self, deadline, format)
  end
  local letter = formats.letter(format)
  if letter == "L" then return READ.line(self, deadline) end
  if letter == "n" then return READ.number(self, deadline) end
  if letter == "a" then return READ.all(self, deadline) end
  if letter ~= "l" then errors.misuse(1, "read: the format must be 'l', 'L', 'n', 'a' or a number of bytes") end
  local line, err = READ.line(self, deadline)
  return line and line:gsub(self.line_end or "\n$", ""), err
end

--- Calls -------------------------------------------------------------------------------------

---The moment that a table with `timeout` means; nil: none.
---@param what string
---@param opts? number|{ timeout?: number }
---@return number?
function reader.deadline(what, opts)
  local timeout = opts and options.timeout(what, opts)
  return timeout and timeout > 0 and loop.now() + timeout or nil
end

-- The same, of the last of n arguments, and how many there are before it.
local function deadline_in(n, ...)
  local last = n > 0 and select(n, ...) or nil
  if type(last) ~= "table" then return nil, n end
  return reader.deadline("read", last), n - 1
end

---Reads as `file:read` does: "l" a line (the default), "L" a line with its end, "n" a
---number, "a" all the rest, an integer that many bytes; several formats give several
---values. A table { timeout = seconds } may come last. nil at the end, and where no number
---is. nil and an error when it could not be had; what has come is kept for the next call.
---@param self table  a source
---@param ... "l"|"L"|"n"|"a"|integer|{ timeout?: number }
---@return string|number|nil
---@return daytona.Error|string|number|nil ...
function reader.read(self, ...)
  local deadline, n = deadline_in(select("#", ...), ...)
  local state = { source = self, deadline = deadline }
  if n == 0 then return read_one(state, "l") end
  if n == 1 then return read_one(state, (...) or "l") end
  return formats.read(read_one, state, n, ...)
end

---The next piece, as soon as there is any. nil at the end; nil, err.
---@param self table  a source
---@param opts? { timeout?: number }
---@return string?
---@return daytona.Error?
function reader.chunk(self, opts)
  local deadline = reader.deadline("read", opts)
  while true do
    local data = self.buffer:take(math.huge)
    if data then return data end
    local fine, err = more(self, deadline)
    if fine == nil then return nil, err end
    if not fine and self.buffer.size == 0 then return nil end
  end
end

local function or_raise(value, err, ...)
  if value == nil and err then errors.raise(err) end
  return value, err, ...
end

---Iterates over lines, or what else `read` takes, as `file:lines`. Raises errors. (On
---PUC Lua 5.1 not in a task: read in a loop there.)
---@param self table  a source
---@param ... "l"|"L"|"n"|integer|{ timeout?: number }
---@return fun(): string|number|nil ...
function reader.lines(self, ...)
  local given = compat.pack(...)
  return function() return or_raise(reader.read(self, compat.unpack(given, 1, given.n))) end
end

---Iterates over pieces. Raises errors.
---@param self table  a source
---@return fun(): string?
function reader.chunks(self)
  return function() return or_raise(reader.chunk(self)) end
end

return reader
