-- The same workflow (support/workflow_task.lua) in every host. `scripts/test hosts` runs
-- these specs.

local hosts = require "spec.support.hosts"

local SAYS = {
  both = "met 3", deleted = "true", failed = "executeCommand not_found", cancelled = "canceled", left = 0,
  beats = "many",
}

local HOSTS = {
  { "plain", "a plain program" }, { "plain-luajit", "a plain program (LuaJIT)" }, { "neovim", "Neovim" },
  { "nginx", "nginx" }, { "love", "LÖVE" }, { "luv", "a program on luv" }, { "cqueues", "a program on cqueues" },
}

describe("a workflow #host", function()
  local stage

  setup(function() stage = hosts.stage() end)
  teardown(function() stage:close() end)

  for _, row in ipairs(HOSTS) do
    it("runs, fails and is cancelled in " .. row[2], function()
      local said = stage:work(row[1], "spec/support/workflow_task.lua")
      assert.equal(0, said.exit, said.text)
      assert.is_nil(said.failure)
      for name, wanted in pairs(SAYS) do assert.equal(wanted, said[name], name .. "\n" .. said.text) end
    end)
  end
end)
