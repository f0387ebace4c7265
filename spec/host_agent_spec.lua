-- An agent solves the same task of three steps, by the same code (support/agent_task.lua),
-- in every host and on every API. `scripts/test hosts` runs these specs.

local hosts = require "spec.support.hosts"
local json = require "daytona.http.json"
local models = require "spec.support.model"

local function call(name, arguments)
  return { { name = name, arguments = assert(json.encode(arguments)) } }
end

-- Two of the calls are in one reply.
local STEPS = {
  { text = "First a program. ", calls = call("write", { path = "squares.sh",
    content = "for i in 3 4 5; do printf '%s ' $((i * i)); sleep 0.1; done; echo\n" }) },
  { calls = call("bash", { command = "sh squares.sh | tee squares.txt" }) },
  { calls = { call("read", { path = "squares.txt" })[1],
    { id = "other", name = "ls", arguments = "{}" } } },
  { text = "It printed 9 16 25. \240\159\145\141" },
}

local SAYS = {
  printed = "9 16 25", done = "end 4", text = "First a program. It printed 9 16 25. \240\159\145\141",
  beats = "many", in_flight = 0,
}

local HOSTS = {
  { "plain", "a plain program", "responses" }, { "plain-luajit", "a plain program (LuaJIT)", "messages" },
  { "neovim", "Neovim", "messages" }, { "nginx", "nginx", "chat" }, { "love", "LÖVE", "responses" },
  { "luv", "a program on luv", "chat" }, { "cqueues", "a program on cqueues", "messages" },
}

describe("an agent #host", function()
  local stage, server

  setup(function() stage, server = hosts.stage(), models.start() end)
  teardown(function()
    stage:close()
    server:close()
  end)

  for _, row in ipairs(HOSTS) do
    local host, words, api = row[1], row[2], row[3]
    it("solves a task of three steps in " .. words, function()
      local entries = models.entries(api, STEPS)
      for _, entry in ipairs(entries) do entry.piece = 7 end
      server:script(entries)
      local base = api == "messages" and server.url or server.url .. "/v1"
      local said = stage:work(host, "spec/support/agent_task.lua", { MODEL_URL = base, DRIVER = api })
      assert.equal(0, said.exit, said.text)
      assert.is_nil(said.failure)
      for name, wanted in pairs(SAYS) do assert.equal(wanted, said[name], name .. "\n" .. said.text) end
      assert.truthy(said.calls == "write bash read ls" or said.calls == "write bash ls read", said.calls)
      assert.equal(4, #server:requests())
    end)
  end
end)

describe("the agent examples #host", function()
  local stage, server, env

  setup(function()
    stage, server = hosts.stage(), models.start()
    env = { OPENAI_BASE_URL = server.url, OPENAI_MODEL = "scripted" }
  end)
  teardown(function()
    stage:close()
    server:close()
  end)

  -- Beside the stage's own.
  local function sandboxes()
    local n = -1
    for sb in stage.client:each() do
      if sb.state ~= "destroying" then n = n + 1 end
    end
    return n
  end

  local function wait_for_none()
    for _ = 1, 500 do
      if sandboxes() == 0 then return end
      require("daytona").sleep(0.02)
    end
    error "a sandbox was left"
  end

  it("for Neovim shows what the agent does in a split, and its edits as a diff", function()
    server:script(models.entries("responses", {
      { text = "I change it. ", calls = call("edit", { path = "a.txt", old_string = "two", new_string = "TWO" }) },
      { text = "Done." },
    }))
    local file = assert(io.open(stage.dir .. "/a.txt", "w"))
    file:write "one\ntwo\nthree\n"
    file:close()
    local said = stage:run("neovim", [[
      vim.opt.runtimepath:append "examples/neovim"
      vim.cmd "runtime plugin/sandbox_agent.lua"
      vim.cmd("edit " .. vim.env.STAGE .. "/a.txt")
      vim.cmd "SandboxAgent write two in capitals"
      local function lines(buffer) return table.concat(vim.api.nvim_buf_get_lines(buffer, 0, -1, false), "|") end
      local output = vim.fn.bufnr "sandbox://agent"
      assert(vim.wait(20000, function() return vim.fn.winnr "$" == 3 end, 5), lines(output))
      say("output", lines(output))
      say("diff", vim.wo.diff and "shown" or "not shown")
      vim.cmd "wincmd l"
      say("edited", lines(0))
      vim.cmd "wincmd h"
      vim.cmd "normal! 2Gdo"
      say("taken", lines(0))
      vim.cmd "qa!"
    ]], env)
    assert.equal(0, said.exit, said.text)
    assert.equal("one|TWO|three", said.edited)
    assert.equal("one|TWO|three", said.taken)
    assert.equal("shown", said.diff)
    assert.truthy(said.output:find("I change it. ||    edit {", 1, true), said.output)
    assert.truthy(said.output:find("Done.||[end, 2 steps]", 1, true), said.output)
    wait_for_none()
  end)

  it("for LÖVE asks before each call, plays by itself, and leaves nothing", function()
    server:script(models.entries("responses", STEPS))
    local said = hosts.command("xvfb-run -a love examples/love_agent --demo", stage:env(env))
    assert.equal(0, said.exit, said.text)
    assert.truthy(said.text:find("> bash {", 1, true), said.text)
    assert.truthy(said.text:find("9 16 25", 1, true), said.text)
    assert.truthy(said.text:find("[end, 4 steps]", 1, true), said.text)
    wait_for_none()
  end)

  describe("for OpenResty", function()
    local web
    setup(function()
      env.HOME = "/"
      web = require("spec.support.nginx").start {
        config = "examples/openresty/nginx.conf", prefix = "examples/openresty", env = stage:env(env),
      }
    end)
    teardown(function() web:stop() end)

    it("streams what the agent does", function()
      server:script(models.entries("responses", STEPS))
      local names, last = {}, nil
      web:stream("/agent", "square some numbers", function(line)
        local name = line:match "^event: (.*)"
        if name and name ~= "call_delta" and name ~= "call_begin" and name ~= "progress" then
          names[#names + 1] = name
        end
        last = line:match "^data: (.*)" or last
      end)
      assert.equal("text call result call result call call result result text done", table.concat(names, " "))
      local done = json.decode(last)
      assert.same({ "end", 4 }, { done.reason, done.steps })
      assert.equal(STEPS[4].text, done.answer)
      wait_for_none()
    end)

    it("ends the agent of a client that hangs up", function()
      server:script(models.entries("responses", { { calls = call("bash", { command = "sleep 600" }) } }))
      local function runs()
        for sb in stage.client:each() do
          local found = sb.id ~= stage.sandbox.id and sb:exec "pgrep -fx 'sleep 600'"
          if found and found.result ~= "" then return true end
        end
      end
      web:hang_up("/agent", function() assert.is_true(web:wait_until(runs)) end, "sleep")
      wait_for_none()
    end)

    it("says why there is no agent", function()
      server:script { { status = 401, body = '{"error":{"message":"no such key"}}' } }
      local text = web:get("/agent", "anything")
      assert.truthy(text:find "event: error", text)
      assert.truthy(text:find("no such key", 1, true), text)
      assert.equal(405, (select(2, web:get "/agent")))
    end)
  end)
end)
