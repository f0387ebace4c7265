-- The tools in plugins of Neovim: CodeCompanion and avante, by stand-ins of the parts that
-- call tools.

local hosts = require "spec.support.hosts"

-- What a program of these specs finds: the examples, and a way to wait.
local BEFORE = [[
vim.opt.runtimepath:append "examples/neovim"
local function wait(fn) assert(vim.wait(20000, fn, 5), "it took too long") end
local function boxes()
  local n = 0
  for box in daytona.each() do
    if box.id ~= vim.env.SANDBOX and not box.state:find "^destroy" then n = n + 1 end
  end
  return n
end
]]

-- CodeCompanion, as far as it runs tools: a call is a copy of the tool with the arguments, its
-- function is given `output_cb`, and then `output` tells the chat.
local CODECOMPANION = BEFORE .. [[
local tools = { opts = {}, groups = {} }
package.loaded["codecompanion.config"] = { interactions = { chat = { tools = tools } } }
local extension = require "codecompanion._extensions.daytona"
local chat = { said = {} }
function chat:add_tool_output(tool, text) self.said[#self.said + 1] = tool.function_call.id .. ": " .. text end
local function execute(name, args)
  local tool = vim.deepcopy(tools[name].callback())
  tool.args, tool.function_call = args, { id = "call_" .. name }
  local system, results = { chat = chat, tool = tool }, {}
  assert(tool.cmds[1](system, args, { output_cb = function(result) results[#results + 1] = result end }) == nil)
  local ticks = 0
  wait(function()
    ticks = ticks + 1
    return results[1] ~= nil
  end)
  tool.output[results[1].status](tool, { results[1].data }, { tools = system, cmd = tool.cmds[1] })
  return results, ticks
end
]]

describe("in Neovim #host", function()
  local stage

  setup(function() stage = hosts.stage() end)
  teardown(function() stage:close() end)

  it("CodeCompanion has the tools by name and as a group, and runs them while the editor goes on", function()
    local said = stage:run("neovim", CODECOMPANION .. [[
      extension.setup { tools = "coding" }
      say("group", table.concat(tools.groups.daytona.tools, " "))
      say("schema", tools.bash.schema["function"].name .. " " .. tools.bash.schema.type)
      for _, name in ipairs { "bash", "read" } do say("asks_" .. name, tools[name].opts.require_approval_before) end
      say("none", boxes())
      local results, ticks = execute("bash", { command = "sleep 0.3; echo from $((6 * 7))" })
      say("ticks", ticks)
      execute("write", { path = "x", content = "text" })
      execute("read", { path = "none" })
      say("one", boxes())
      say("results", #results)
      say("heard", table.concat(chat.said, "|"):gsub("\n", "/"))
      extension.exports.close()
      say("left", boxes())
      vim.cmd "qa!"
    ]])
    assert.equal(0, said.exit, said.text)
    assert.equal("bash read write edit multiedit apply_patch ls glob grep service_start service_logs service_stop "
      .. "preview", said.group)
    assert.equal("bash function", said.schema)
    assert.same({ "true", "false" }, { said.asks_bash, said.asks_read })
    assert.is_true(said.ticks > 10)
    assert.equal(1, said.results)
    local heard = "call_bash: from 42/|call_write: wrote 4 bytes to x|call_read: "
    assert.equal(heard, said.heard:sub(1, #heard))
    assert.same({ 0, 1, 0 }, { said.none, said.one, said.left })
  end)

  it("CodeCompanion leaves no sandbox when the editor is left", function()
    local said = stage:run("neovim", CODECOMPANION .. [[
      extension.setup { approval = false }
      say("approval", tools.bash.opts.require_approval_before)
      execute("bash", { command = "true" })
      say("one", boxes())
      vim.cmd "qa"
    ]])
    assert.equal(0, said.exit, said.text)
    assert.equal("false", said.approval)
    assert.equal(1, said.one)
    for box in stage.client:each() do
      assert.truthy(box.id == stage.sandbox.id or box.state:find "^destroy", box.state)
    end
  end)

  it("avante has them as custom tools, with logs, results and errors", function()
    local said = stage:run("neovim", BEFORE .. [[
      local custom_tools = function() return require("daytona_avante").tools("coding") end
      local list = custom_tools()
      say("same", list == custom_tools())
      local function call(name, input)
        local done, logs = nil, {}
        for _, tool in ipairs(list) do
          if tool.name == name then
            local result = tool.func(input, {
              on_log = function(line) logs[#logs + 1] = line end,
              on_complete = function(...) done = { n = select("#", ...), ... } end,
              session_ctx = {}, set_store = function() end, streaming = false,
            })
            assert(result == nil)
          end
        end
        wait(function() return done end)
        return done[1], done[2], logs
      end
      local fields = {}
      for i, field in ipairs(list[1].param.fields) do fields[i] = field.name .. (field.optional and "?" or "") end
      say("fields", table.concat(fields, " "))
      local result, err, logs = call("bash", { command = "echo begun; sleep 1.2; echo done" })
      say("result", result:gsub("\n", "/"))
      say("err", err)
      say("log", logs[1])
      result, err = call("read", { path = "none" })
      say("nothing", result)
      say("failure", err:gsub("\n", "/"))
      say("one", boxes())
      vim.cmd "qa"
    ]])
    assert.equal(0, said.exit, said.text)
    assert.equal("true", said.same)
    assert.equal("command cwd? timeout? background?", said.fields)
    assert.equal("begun/done/", said.result)
    assert.equal("nil", said.err)
    assert.equal("begun", said.log)
    assert.equal("nil", said.nothing)
    assert.truthy(said.failure:find "none")
    assert.equal(1, said.one)
    for box in stage.client:each() do
      assert.truthy(box.id == stage.sandbox.id or box.state:find "^destroy", box.state)
    end
  end)
end)
