-- What is read like a file: formats, time limits and several tasks, over a source that
-- brings what a spec says.

local daytona = require "daytona"
local errors = require "daytona.base.errors"
local line_buffer = require "daytona.base.line_buffer"
local loop = require "daytona.loop"
local reader = require "daytona.toolbox.reader"

describe("a buffer of lines", function()
  it("gives each of them once, wherever chunks end", function()
    for _, chunks in ipairs {
      { "ab\n", "cd\n", "ef", "g\nh" }, { "ab", "\n", "cd\nef", "g\n", "h" }, { "ab\ncd\nefg\nh" },
    } do
      local buffer, lines = line_buffer.new(), {}
      for _, chunk in ipairs(chunks) do buffer:push(chunk) end
      local line = buffer:line()
      while line do
        lines[#lines + 1] = line
        line = buffer:line()
      end
      assert.same({ "ab\n", "cd\n", "efg\n" }, lines)
      assert.equal(1, buffer.size)
    end
  end)
end)

describe("a buffer of bytes", function()
  local function filled(...)
    local buffer = line_buffer.new()
    for _, chunk in ipairs { ... } do buffer:push(chunk) end
    return buffer
  end

  it("gives so many of them, wherever chunks end, and shows what is ahead", function()
    for first = 0, 7 do
      for n = 0, 8 do
        local buffer = filled("ab", "c", "", "defg")
        local text = "abcdefg"
        if first > 0 then assert.equal(text:sub(1, first), buffer:take(first)) end
        assert.equal(7 - first, buffer.size)
        assert.equal(text:sub(first + 1, first + n), buffer:ahead(n))
        assert.equal(first < 7 and n > 0 and text:sub(first + 1, first + n) or nil, n > 0 and buffer:take(n) or nil)
        buffer:push "h\n"
        assert.equal(text:sub(first + n + 1) .. "h\n", buffer:line())
        assert.equal(0, buffer.size)
        assert.is_nil(buffer:take(1))
        assert.equal("", buffer:ahead(1))
        assert.is_nil(buffer:line())
      end
    end
  end)

  it("gives lines and bytes by turns", function()
    local buffer = filled("one\ntwo", "\nthr", "ee\n", "rest")
    assert.same({ "one\n", "tw", "o\n", "t", "hree\n" },
      { buffer:line(), buffer:take(2), buffer:line(), buffer:take(1), buffer:line() })
    assert.is_nil(buffer:line())
    buffer:push "\nx"
    assert.same({ "rest\n", "x" }, { buffer:line(), buffer:take(math.huge) })
  end)
end)

local is_lua51 = _VERSION == "Lua 5.1" and not jit

local Source = {
  read = reader.read, lines = reader.lines, chunk = reader.chunk, chunks = reader.chunks,
  subject = function() return "box", "thing" end,
}
Source.__index = Source

-- Steps: a text that comes, a number of seconds to wait, an error.
local function source(steps)
  return setmetatable({ steps = steps, at = 0, inside = 0, buffer = line_buffer.new() }, Source)
end

local function step(self, deadline)
  self.at = self.at + 1
  local what = self.steps[self.at]
  if what == nil then return false end
  if type(what) == "string" then
    self.buffer:push(what)
    return true
  elseif type(what) == "table" then
    return nil, what
  end
  local over = loop.now() + what
  local slept, err = loop.sleep(math.max(math.min(over, deadline or over) - loop.now(), 0))
  if not slept then
    self.at = self.at - 1
    return nil, err
  elseif deadline and loop.now() >= deadline then
    self.steps[self.at] = math.max(over - loop.now(), 0)
    self.at = self.at - 1
    return reader.too_late(self)
  end
  return true
end

function Source:fill(deadline)
  self.inside = self.inside + 1
  assert(self.inside == 1, "two tasks bring more at once")
  local fine, err = step(self, deadline)
  self.inside = self.inside - 1
  return fine, err
end

describe("what is read like a file", function()
  it("gives lines, numbers, bytes and all the rest, cut anywhere", function()
    local s = source { "one\ntw", "o\r\n 0x", "1F;x", "yz", "rest\n", "\n" }
    assert.same({ "one", "two\r\n", 31, ";xy" }, { s:read("l", "*L", "n", 3) })
    assert.equal("zrest\n\n", s:read "a")
    assert.equal("", s:read "*a")
    assert.same({ nil, nil, nil }, { s:read "l", s:read(1), s:read "n" })
    assert.equal("last", source { "la", "st" }:read())
    assert.is_nil((source { "x" }:read "n"))
    assert.equal("", source { "x" }:read(0))
    assert.is_nil(source {}:read(0))
  end)

  it("gives pieces as they come", function()
    local s = source { "a", "bc" }
    assert.same({ "a", "bc" }, { s:chunk(), s:chunk() })
    assert.is_nil((s:chunk()))
  end)

  it("refuses other formats, and numbers that are none of bytes", function()
    for _, bad in ipairs { "x", -1, 1.5, true } do
      assert.has_error(function() source { "a" }:read(bad) end)
    end
    assert.has_error(function() source { "a" }:read("l", { time = 1 }) end)
  end)

  it("waits as long as it is told to, and keeps what has come", function()
    local s = source { "a", 0.2, "b\n" }
    local none, err = s:read("l", { timeout = 0.05 })
    assert.is_nil(none)
    assert.same({ "timeout", "wait", "read", "thing" }, { err.kind, err.code, err.operation, err.what })
    none, err = s:read({ timeout = 0.01 })
    assert.same({ nil, "timeout" }, { none, err.kind })
    assert.equal("ab", s:read({ timeout = 5 }))
    s = source { 0.2, "b" }
    assert.equal("timeout", select(2, s:chunk { timeout = 0.01 }).kind)
    assert.equal("b", s:chunk(5))
  end)

  it("fails with what it failed with, and can be read on", function()
    local broken = errors.new { kind = "connection", message = "lost" }
    local s = source { "a", broken, "b\nc\n" }
    assert.same({ nil, broken }, { s:read() })
    assert.same({ "ab", "c" }, { s:read("l", "l") })
  end)

  it("gives no more at once than is allowed", function()
    local s = source { ("x"):rep(100), "y" }
    s.most = function() return 99 end
    local none, err = s:read "a"
    assert.is_nil(none)
    assert.same({ "too_large", "box" }, { err.kind, err.sandbox })
    assert.equal("xxx", s:read(3))
  end)

  it("is read by several tasks, each of which gets whole lines that the others do not", function()
    local steps, expected = {}, {}
    for i = 1, 50 do
      steps[#steps + 1], steps[#steps + 2], steps[#steps + 3] = tostring(i), 0.001, "\n"
      expected[i] = i
    end
    local s, got = source(steps), {}
    local function task()
      while true do
        local line = s:read()
        if not line then return true end
        got[#got + 1] = tonumber(line)
      end
    end
    assert(daytona.gather { task, task, task })
    table.sort(got)
    assert.same(expected, got)
  end)

  it("is read on by another task when the one that waited is cancelled, or runs out of time", function()
    local s = source { 0.5, "a\n" }
    local first = daytona.spawn(function() return s:read() end)
    local second = daytona.spawn(function() return s:read { timeout = 30 } end)
    local third = daytona.spawn(function() return s:read { timeout = 0.01 } end)
    assert.equal("timeout", select(2, third:wait()).kind)
    first:cancel()
    assert.equal("a", second:wait())
    assert.equal("canceled", select(2, first:wait()).kind)
  end)

  it("is read on after its source raised", function()
    local s = source { "a\n" }
    local fill = s.fill
    s.fill = function() error "mine" end
    assert.has_error(function() s:read() end)
    s.fill = fill
    assert.equal("a", s:read())
  end)

  it("is iterated over, and raises", function()
    local lines, pieces = {}, {}
    for a, b in source { "1 2\n3 4" }:lines("n", "n") do lines[#lines + 1] = a * b end
    for piece in source { "a", "b" }:chunks() do pieces[#pieces + 1] = piece end
    assert.same({ { 2, 12 }, { "a", "b" } }, { lines, pieces })
    local broken = errors.new { kind = "connection", message = "lost" }
    local ok, err = pcall(function() for _ in source { broken }:lines() do error "?" end end)
    assert.is_false(ok)
    if not is_lua51 then assert.equal(broken, err) end
  end)
end)
