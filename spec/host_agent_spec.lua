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
