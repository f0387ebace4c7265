-- The sandbox of an agent: made when it is needed, one a conversation, found again, gone at
-- the end; and what runs in it is ended with the agent. Against the local server.

local compat = require "daytona.base.compat"
local daytona = require "daytona"
local json = require "daytona.http.json"
local models = require "spec.support.model"

local service, server

setup(function()
  service, server = require("spec.support.service").start(), models.start()
end)

teardown(function()
  server:close()
  service:stop()
end)

local function bash(command)
  return { calls = { { name = "bash", arguments = assert(json.encode { command = command }) } } }
end

local function agent_of(opts)
  local all = { driver = "messages", model = "m", base_url = server.url, client = service.client }
  for name, value in pairs(opts or {}) do all[name] = value end
  return assert(daytona.agent(all))
end

local function script(replies) server:script(models.entries("messages", replies)) end

local function eventually(fn, what)
  for _ = 1, 500 do
    if fn() then return end
    daytona.sleep(0.02)
  end
  error(what .. " did not happen")
end

-- What tools printed in a run.
local function printed(agent, method)
  local list = {}
  for event in agent[method or "run"](agent, "go") do
    if event.type == "result" then list[#list + 1] = (event.result.text:gsub("%s+$", "")) end
  end
  return list
end

local function sandboxes(n)
  eventually(function() return service:sandboxes() == n end, n .. " sandboxes")
end

describe("the sandbox of an agent", function()
  after_each(function() sandboxes(0) end)

  it("is not made when it is not needed", function()
    assert(service.server:forget_requests())
    script { { text = "no need" } }
    assert.same({}, printed(agent_of()))
    assert.equal(0, service:count("POST", "/sandbox"))
  end)

  it("is one for all calls, and gone when the run is over", function()
    assert(service.server:forget_requests())
    local both = { bash("echo one >a; echo both").calls[1], bash("echo both").calls[1] }
    script { { calls = both }, bash "cat a", { text = "ok" } }
    assert.same({ "both", "both", "one" }, printed(agent_of()))
    assert.equal(1, service:count("POST", "/sandbox"))
  end)

  it("goes on from prompt to prompt until the agent is closed", function()
    script { bash "echo kept >note", { text = "1" }, bash "cat note", { text = "2" } }
    local agent = agent_of()
    assert.equal(1, #printed(agent, "stream"))
    assert.equal(1, service:sandboxes())
    assert.same({ "kept" }, printed(agent, "stream"))
    local box = service.client:list({ labels = { ["daytona-conversation"] = agent.conversation } }).items[1]
    assert.truthy(box)
    agent:close()
    agent:close()
  end)

  it("is found again by its conversation, started when it stopped, and deleted when that is said", function()
    script { bash "echo kept >note", { text = "1" }, bash "cat note", { text = "2" } }
    printed(agent_of { conversation = "talk-1" })
    assert.equal(1, service:sandboxes())
    assert(service.client:list().items[1]:stop())
    local agent = agent_of { conversation = "talk-1" }
    assert.same({ "kept" }, printed(agent, "stream"))
    agent:close()
    assert.equal(1, service:sandboxes())
    agent_of({ conversation = "talk-1" }):close { delete = true }
  end)

  it("is left when it was given", function()
    local box = assert(service.client:create {})
    script { bash "echo here >note", { text = "ok" } }
    printed(agent_of { sandbox = box.id })
    assert.equal("here\n", box.fs:read "note")
    box:delete()
  end)

  it("is gone when the model fails", function()
    script { bash "true", { status = 400, body = '{"error":{"message":"no"}}' } }
    local fine = pcall(printed, agent_of())
    assert.is_false(fine)
  end)

  it("is gone when the task is cancelled, and what ran there has ended", function()
    local box = assert(service.client:create {})
    for _, own in ipairs { false, true } do
      script { bash "touch begun; exec sleep 4711", { text = "never" } }
      local agent = agent_of { sandbox = not own and box or nil }
      local working = daytona.spawn(function()
        local text, err = agent:send("go", { on_event = function() end })
        agent:close()
        return text, err
      end)
      if own then
        eventually(function() return service:sandboxes() == 2 end, "the sandbox")
      else
        eventually(function() return box.fs:exists "begun" end, "the command's begin")
      end
      working:cancel()
      local text, err = working:wait()
      assert.is_nil(text)
      assert.is_true(daytona.is_error(err, "canceled"), tostring(err))
      eventually(function() return box:exec("pgrep -fx 'sleep 4711'").result == "" end, "the command's end")
    end
    box:delete()
  end)

  it("is gone when a loop is left early", function()
    script { bash "sleep 4712", { text = "never" } }
    local agent = agent_of()
    for event in agent:run "go" do
      if event.type == "call" then break end
    end
    if compat.name ~= "lua5.4" then agent:close() end
  end)
end)

describe("tools that models bring along", function()
  local box

  setup(function() box = assert(service.client:create {}) end)
  teardown(function() box:delete() end)

  -- A reply of Responses with one item.
  local function item(value)
    local done = { type = "response.output_item.done", output_index = 0, item = value }
    return { body = "data: " .. assert(json.encode(done)) .. "\n\n"
      .. 'data: {"type":"response.completed","response":{}}' .. "\n\n" }
  end

  it("work on Responses, also after a transcript", function()
    local path = os.tmpname()
    server:script(models.entries("responses", {
      item { type = "shell_call", call_id = "s1", status = "completed",
        action = { commands = { "echo out; echo err >&2", "exit 3" }, timeout_ms = 5000 } },
      item { type = "apply_patch_call", call_id = "p1", status = "completed",
        operation = { type = "create_file", path = "made.txt", diff = "+made\n" } },
      { text = "ok" }, { text = "again" },
    }))
    local function agent()
      return agent_of { driver = "responses", tools = "native", sandbox = box, transcript = path }
    end
    assert.equal("ok", (agent():send "go"))
    assert.equal("made\n", box.fs:read "made.txt")
    assert.equal("again", (agent():send "and?"))
    local input = server:requests()[4].json.input
    local shell, patch = input[3], input[5]
    assert.equal("shell_call", input[2].type)
    assert.same({ "shell_call_output", "s1" }, { shell.type, shell.call_id })
    assert.same({ { stdout = "out\n", stderr = "err\n", outcome = { type = "exit", exit_code = 0 } },
      { stdout = "", stderr = "", outcome = { type = "exit", exit_code = 3 } } }, shell.output)
    assert.same({ "apply_patch_call_output", "p1", "completed" }, { patch.type, patch.call_id, patch.status })
    os.remove(path)
  end)

  it("work on Messages", function()
    script { bash "cd /tmp", bash "pwd", { text = "ok" } }
    local agent = agent_of { tools = "native", sandbox = box }
    assert.same({ "(no output)", "/tmp" }, printed(agent))
    assert.equal("bash_20250124", server:requests()[1].json.tools[1].type)
  end)
end)

describe("secrets", function()
  it("of the model and of Daytona are in no result of a command", function()
    local box = assert(service.client:create {})
    local key = "sk-secret-in-output-1"
    script { bash("echo " .. key .. "; ps -eo args"), { text = "ok" } }
    local agent = agent_of { sandbox = box, api_key = key }
    local entries = {}
    for event in agent:run "go" do
      if event.type == "result" then entries[#entries + 1] = event.result.text end
    end
    assert.truthy(entries[1]:find "%[redacted%]")
    assert.is_nil(entries[1]:find(key, 1, true))
    box:delete()
  end)
end)
