-- The same calls, word for word, in every host: one file (support/host_calls.lua) that
-- runs commands, talks to jobs, sessions and terminals while the host's own work goes
-- on, and cancels them. `scripts/test hosts` runs these specs.

local hosts = require "spec.support.hosts"

local SAYS = {
  exec = "typed 3",
  popen = "ready, got 1, got 2, got 3, nil, exit 4",
  follow = "stdout ready, stdout got 1, stderr got 2, end, 5",
  pty = 6,
  interpreter = "0, 1, 2",
  canceled = "exec, popen, follow, pty",
  left = 0,
  in_flight = 0,
}

local HOSTS = {
  { "plain", "a plain program" }, { "plain-luajit", "a plain program (LuaJIT)" }, { "neovim", "Neovim" },
  { "nginx", "nginx" }, { "nginx-sleep", "nginx without a doorbell" }, { "love", "LÖVE" },
  { "luv", "a program on luv" }, { "luv-luajit", "a program on luv (LuaJIT)" },
  { "cqueues", "a program on cqueues" }, { "cqueues-luajit", "a program on cqueues (LuaJIT)" },
}

describe("exec, popen, follow, terminals and the interpreter #host", function()
  local stage

  setup(function() stage = hosts.stage() end)
  teardown(function() stage:close() end)

  for _, row in ipairs(HOSTS) do
    local host, words = row[1], row[2]
    it("are the same in " .. words, function()
      local said = stage:work(host, "spec/support/host_calls.lua")
      assert.equal(0, said.exit, said.text)
      assert.is_nil(said.failure)
      for name, wanted in pairs(SAYS) do assert.equal(wanted, said[name], name .. "\n" .. said.text) end
    end)
  end
end)
