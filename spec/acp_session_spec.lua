-- What an editor is told of a turn, with an agent, a project and an editor that follow a script.

local errors = require "daytona.base.errors"
local json = require "daytona.http.json"
local loop = require "daytona.loop"
local sessions = require "daytona.agent.acp.session"

-- What the editor is told, what it answers when it is asked, and what it was asked.
local told, answer, asked, session, project

local function new(options)
  told, asked, answer = {}, {}, nil
  local server = {
    options = options or {},
    notify = function(_, method, params)
      assert.same({ "session/update", "s1" }, { method, params.sessionId })
      told[#told + 1] = params.update
    end,
    ask = function(_, method, params)
      assert.equal("session/request_permission", method)
      asked[#asked + 1] = params
      return answer
    end,
  }
  server.options.model, server.options.api = "m", "chat"
  local getenv = os.getenv
  os.getenv = function(name) -- luacheck: ignore
    if name == "OPENAI_BASE_URL" then return "http://127.0.0.1:1" end
    return getenv(name)
  end
  local err
  session, err = sessions.new(server, "s1", "/home/me/p")
  os.getenv = getenv -- luacheck: ignore
  assert(session, err)
  project = { base = true, remote = "/srv/p", changes = {}, sync = function(self, may_delete)
    if self.deletes then self.allowed = may_delete(self.deletes) end
    if self.err then return nil, self.err end
    local changes = self.changes
    self.changes = {}
    return changes
  end }
  session.project = project
end

-- Gives the session a turn in which these events come.
local function turn(events, ends)
  session.agent = { tools = session.agent.tools, history = {}, close = function() end,
    send = function(_, _, opts)
      for _, event in ipairs(events) do
        if type(event) == "function" then event() else opts.on_event(event) end
      end
      if errors.is(ends) then return nil, ends end
      return "text", ends or { reason = "end" }
    end }
  return session:prompt "do it"
end

local function call(id, name, arguments) return { type = "call", id = id, name = name, arguments = arguments } end

local function result(id, name, text, ok)
  return { type = "result", id = id, name = name,
    result = { ok = ok ~= false, text = text, images = {}, data = { a = 1 } } }
end

before_each(function() new() end)

describe("a turn", function()
  it("tells texts, thoughts, calls and what comes of them", function()
    assert.equal("end_turn", turn { { type = "text", text = "hi" }, { type = "thinking", thinking = "hm" },
      { type = "call_begin", id = "x", name = "read" }, call("x", "read", '{"path":"/srv/p/a.lua"}'),
      { type = "progress", id = "x", name = "read", message = "half" }, result("x", "read", "content"),
      { type = "unknown" } })
    assert.same({
      { sessionUpdate = "agent_message_chunk", content = { type = "text", text = "hi" } },
      { sessionUpdate = "agent_thought_chunk", content = { type = "text", text = "hm" } },
      { sessionUpdate = "tool_call", toolCallId = "call-1", title = "Read a file", kind = "read", status = "pending" },
      { sessionUpdate = "tool_call_update", toolCallId = "call-1", title = "Read a file: /srv/p/a.lua",
        rawInput = { path = "/srv/p/a.lua" }, status = "in_progress", locations = { { path = "/home/me/p/a.lua" } } },
      { sessionUpdate = "tool_call_update", toolCallId = "call-1",
        content = { { type = "content", content = { type = "text", text = "half" } } } },
      { sessionUpdate = "tool_call_update", toolCallId = "call-1", status = "completed", rawOutput = { a = 1 },
        content = { { type = "content", content = { type = "text", text = "content" } } } },
    }, told)
  end)

  it("shows with a call what it changed, and what changed meanwhile at the end", function()
    project.changes = {}
    turn { call("x", "write", '{"path":"b"}'), function() project.changes = { { path = "b", new = "n" } } end,
      result("x", "write", "", false), function() project.changes = { { path = "c", old = "o" } } end }
    assert.same({ "pending", "failed" }, { told[2].status, told[3].status })
    assert.same({ { type = "diff", path = "/home/me/p/b", oldText = json.null, newText = "n" } }, told[3].content)
    assert.same({ sessionUpdate = "tool_call", toolCallId = "call-2", title = "Files that changed meanwhile",
      kind = "edit", status = "completed",
      content = { { type = "diff", path = "/home/me/p/c", oldText = "o", newText = "" } } }, told[4])
    assert.is_nil(told[5])
  end)

  it("says what could not be brought here, and fails where the end cannot", function()
    local _, why = turn { call("x", "write", "5"), function() project.err = "no disk" end,
      result("x", "write", "done") }
    assert.equal("no disk", why)
    assert.same({ "done", "What it changed could not be brought here: no disk" },
      { told[3].content[1].content.text, told[3].content[2].content.text })
    assert.is_nil(told[2].rawInput)
  end)

  it("voids what had begun when the reply is asked for again, and what never ends", function()
    turn { { type = "call_begin", id = "x", name = "ls" }, call("y", "ls", "{}"),
      { type = "retry", error = "cut off" } }
    assert.same({ toolCallId = "call-1", status = "failed", sessionUpdate = "tool_call_update" }, told[4])
    assert.equal("The reply failed and is asked for again: cut off\n", told[5].content.text)
    assert.same({ toolCallId = "call-2", status = "failed", sessionUpdate = "tool_call_update" }, told[6])
    assert.is_nil(told[7])
  end)

  it("ends with a reason of the protocol, or the failure", function()
    for reason, wanted in pairs { ["end"] = "end_turn", length = "max_tokens", overflow = "max_tokens",
      refusal = "refusal", other = "end_turn" } do
      assert.equal(wanted, turn({}, { reason = reason }))
    end
    assert.equal("max_tokens", turn({}, { reason = "limit", limit = "tokens" }))
    assert.equal("max_turn_requests", turn({}, { reason = "limit", limit = "steps" }))
    local err = errors.new { kind = "server", message = "no" }
    assert.same({ nil, err }, { turn({}, err) })
    assert.equal("cancelled", turn { function()
      loop.sleep(0.001)
      session:cancel()
    end })
    assert.equal("end_turn", turn {})
    session:cancel() -- nothing is in progress
  end)

  it("shows that the project is copied, the first time", function()
    project.base = nil
    turn({}, nil)
    assert.same({ { "sandbox-0", "in_progress" }, { "sandbox-0", "completed" } },
      { { told[1].toolCallId, told[1].status }, { told[2].toolCallId, told[2].status } })
    told, project.err = {}, "no way"
    assert.same({ nil, "no way" }, { turn {} })
    assert.equal("failed", told[2].status)
  end)
end)

describe("the user", function()
  local function permit(name, arguments)
    local toolset = session.agent.tools
    return toolset.options.ask { name = name, arguments = arguments, tool = toolset.by_name[name] }
  end

  local function selected(option) answer = { outcome = { outcome = "selected", optionId = option } } end

  it("is asked before something is changed or run", function()
    turn { call("x", "bash", '{"command":"ls"}'), function()
      for _, option in ipairs { "allow_once", "allow_always", "reject_once", "reject_always" } do
        selected(option)
        assert.equal(option, permit("bash", { command = "ls" }))
      end
      for _, odd in ipairs { { outcome = { outcome = "cancelled" } }, { outcome = "x" }, {}, "x",
        { outcome = { outcome = "selected", optionId = "none" } },
        { outcome = { outcome = "no", optionId = "allow_once" } } } do
        answer = odd
        assert.equal("reject_once", permit("bash", { command = "ls" }))
      end
    end }
    assert.same({ sessionId = "s1", toolCall = { toolCallId = "call-1", title = "ls", status = "pending",
      kind = "execute", rawInput = { command = "ls" } }, options = {
      { optionId = "allow_once", name = "Allow", kind = "allow_once" },
      { optionId = "allow_always", name = "Always allow", kind = "allow_always" },
      { optionId = "reject_once", name = "Reject", kind = "reject_once" },
      { optionId = "reject_always", name = "Always reject", kind = "reject_always" } } }, asked[1])
    local in_progress = 0
    for _, update in ipairs(told) do in_progress = in_progress + (update.status == "in_progress" and 1 or 0) end
    assert.equal(2, in_progress)
    selected "allow_once"
    assert.equal("reject_once", permit("bash", { command = "ls" })) -- of no call that is open
    assert.equal("allow_once", permit("read", { path = "x" }))
    assert.equal(10, #asked)
    new { yes = true }
    assert.equal("allow_once", permit("bash", { command = "ls" }))
    assert.equal(0, #asked)
  end)

  it("is asked before files are deleted here", function()
    project.deletes = { "a" }
    selected "allow_once"
    turn {}
    assert.is_true(project.allowed)
    assert.equal("Delete 1 file: a", asked[1].toolCall.title)
    assert.same({ { path = "/home/me/p/a" } }, asked[1].toolCall.locations)
    assert.equal(2, #asked[1].options)
    assert.same({ "tool_call", "completed" }, { told[1].sessionUpdate, told[1].status })
    project.deletes = { "a", "b", "c", "d", "e", "f" }
    selected "reject_once"
    turn {}
    assert.is_false(project.allowed)
    assert.equal("Delete 6 files: a, b, c, d, e", asked[#asked].toolCall.title)
    assert.equal("failed", told[#told].status)
    session:close()
    assert.is_false(project.allowed)
    new { yes = true }
    project.deletes = { "a" }
    turn {}
    assert.same({ true, 0 }, { project.allowed, #asked })
  end)

  it("is shown the plan", function()
    local fine = session.agent.tools:call("update_plan", { entries = {
      { content = "a", status = "completed" }, { content = "b", status = "pending", priority = "high" } } })
    assert.is_true(fine.ok)
    assert.same({ { sessionUpdate = "plan", entries = { { content = "a", status = "completed", priority = "medium" },
      { content = "b", status = "pending", priority = "high" } } } }, told)
  end)
end)
