-- Terminals, interpreter runs and followed logs whose connection is cut at every
-- byte, or whose daemon does not keep to the rules: there is always an end, nothing
-- is made up, and what had come before is handed out.

local daytona = require "daytona"
local http = require "daytona.http"
local loop = require "daytona.loop"
local scripted = require "spec.support.scripted_daemon"

local CREATE, EXECUTE = "/process/pty/create-connect", "/process/interpreter/execute"
local SESSION, COMMAND = "/process/session/s", "/process/session/s/command/c"
local CONNECTED = { "text", '{"type":"control","status":"connected"}' }

-- What a server must not send, and what is said then.
local WRONG = {
  { "a reserved bit", "c20161" },
  { "an unknown kind", "8300" },
  { "a masked frame", "82810000000061" },
  { "a ping in pieces", "0900" },
  { "a long ping", "897e007e" .. ("61"):rep(126) },
  { "the rest of nothing", "800161" },
  { "a message in another", "020161820162" },
  { "text that is not UTF-8", "8101ff" },
  { "a code that must not be sent", "880203ed" },
  { "a code that there is not", "880203e7" },
  { "a reason that is not UTF-8", "880303e8ff" },
  { "a length below none", "827fffffffffffffffff" },
  { "a length above all", "827f000001000000000061", "too_large" },
}

describe("a stream", function()
  local peer, relay

  setup(function()
    peer = scripted.start()
    relay = require("spec.support.relay").start(peer.url:match "%d+$")
  end)
  teardown(function()
    relay:close()
    peer:close()
  end)

  local function sandbox(script) return peer:sandbox(script) end
  local function behind_relay(script) return peer:sandbox(script, relay.url) end

  local function follow(steps)
    local box = sandbox {
      [SESSION] = { { "status", 200, '{"sessionId":"s","commands":[]}' } },
      [COMMAND] = { { "status", 200, '{"id":"c","command":"x"}' } }, [COMMAND .. "/logs"] = steps,
    }
    return assert(box:session("s", { create = false })):command("c"):follow()
  end

  local function begins(text, whole)
    return whole:sub(1, #text) == text
  end

  local function read_all(pty)
    local text = ""
    while true do
      local chunk, err = pty:read { timeout = 20 }
      if not chunk then return text, err end
      text = text .. chunk
    end
  end

  it("of a terminal, cut at every byte, ends as lost or as it was told", function()
    local exited = '{"type":"control","status":"exited","exitCode":3,"exitReason":"non-zero exit"}'
    local script = { [CREATE] = {
      CONNECTED, { "binary", "h\195\169\n" }, { "text", exited }, { "binary", "bye" }, { "close", 1000, "" },
    } }
    local opening = 2 + #CONNECTED[2]
    local told = opening + 2 + 4 + 2 + #exited
    local all = told + 2 + 3 + 4
    for cut = 0, all do
      relay:cut { cut }
      local pty, err = behind_relay(script):pty { id = "x", timeout = 20 }
      assert.equal(cut >= opening, pty ~= nil, "opened, cut at " .. cut)
      local text = ""
      if pty then text, err = read_all(pty) end
      assert.is_true(begins(text, "h\195\169\nbye"))
      if cut < told then
        assert.same({ "connection", "reset" }, { err.kind, err.code }, "cut at " .. cut)
      else
        assert.same({ 3, "non-zero exit" }, { pty.exit_code, pty.reason }, "cut at " .. cut)
        assert.is_nil(err)
      end
    end
    assert.equal(0, relay:cuts())
  end)

  it("of an interpreter, cut at every byte, ends as lost, with what was printed", function()
    local messages = {
      '{"type":"stdout","text":"h\195\169"}', '{"type":"stderr","text":"no"}', '{"type":"stdout","text":"\\u0000b"}',
      '{"type":"control","text":"completed"}',
    }
    local steps, all, ends = { { "receive" } }, 0, {}
    for i, text in ipairs(messages) do
      steps[i + 1] = { "text", text }
      all = all + 2 + #text
      ends[i] = all
    end
    table.insert(steps, { "close", 1000, "" })
    all = all + 4
    for cut = 0, all do
      relay:cut { cut }
      local result, err = behind_relay({ [EXECUTE] = steps }).interpreter:run "code"
      if cut < all then
        assert.same({ "connection", "reset" }, { err.kind, err.code }, "cut at " .. cut)
        local expected = (cut >= ends[1] and "h\195\169" or "") .. (cut >= ends[3] and "\0b" or "")
        assert.equal(expected, err.result or "", "cut at " .. cut)
      else
        assert.same({ "h\195\169\0b", "no" }, { result.stdout, result.stderr })
      end
    end
  end)

  for _, case in ipairs(WRONG) do
    it("with " .. case[1] .. " is a broken one", function()
      local kind = case[3] or "protocol"
      local pty = assert(sandbox({
        [CREATE] = { CONNECTED, { "binary", "out" }, { "raw", case[2] } },
      }):pty { id = "x" })
      local text, err = read_all(pty)
      assert.same({ "out", kind, false }, { text, err.kind, pty.ended })
      local steps = { { "receive" }, { "text", '{"type":"stdout","text":"a"}' }, { "raw", case[2] } }
      local _, problem = sandbox({ [EXECUTE] = steps }).interpreter:run "code"
      assert.same({ kind, "a" }, { problem.kind, problem.result })
      local reader = follow { { "binary", "\1\1\1a\n" }, { "raw", case[2] } }
      assert.same({ "stdout", "a\n" }, { reader:read() })
      local _, failure = reader:read()
      assert.equal(kind, failure.kind)
    end)
  end

  it("closed with any code but a normal one is lost, not over", function()
    local codes, backoff = { 1001, 1003, 1008, 1011, 1012, 3000, 4999, 1005 }, http.backoff
    finally(function() http.backoff = backoff end)
    http.backoff = function() return 0.01 end -- it is tried again until it is enough
    assert(daytona.map(codes, function(code)
      local steps = { { "binary", "\1\1\1a\n" }, code == 1005 and { "raw", "8800" } or { "close", code, "why" } }
      local reader = follow(steps)
      assert.same({ "stdout", "a\n" }, { reader:read() })
      local none, err = reader:read() -- not repeated, however often the log was begun again
      assert.same({ nil, "connection", "closed" }, { none, err.kind, err.code })
      if code ~= 1005 then assert.is_truthy(tostring(err):find(code .. ": why", 1, true), tostring(err)) end
      return true
    end))
  end)

  it("of messages that are too large is a broken one", function()
    local pty = assert(sandbox({ [CREATE] = {
      CONNECTED, { "many", 1, "binary", "x", 1024 * 1024 }, { "many", 1, "binary", "y", 1024 * 1024 + 1 },
    } }):pty { id = "x" })
    local text, err = read_all(pty)
    assert.same({ 1024 * 1024, "too_large" }, { #text, err.kind })
  end)

  it("that takes nothing holds back who writes, for as long as wanted", function()
    local pty = assert(sandbox({ [CREATE] = { CONNECTED, { "deaf" } } }):pty { id = "x" })
    local block, err = ("x"):rep(1024 * 1024), nil
    for _ = 1, 64 do
      err = err or select(2, pty:write(block, { timeout = 0.2 }))
    end
    assert.same({ "timeout", "wait" }, { err.kind, err.code })
    pty:disconnect()
    assert.is_false(loop.busy())
  end)
end)
