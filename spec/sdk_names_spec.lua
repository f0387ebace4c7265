-- doc/coming-from-other-sdks.md names calls that exist, and leaves nothing of ours
-- empty.

local daytona = require "daytona"

describe("doc/coming-from-other-sdks.md", function()
  local service, objects

  setup(function()
    service = require("spec.support.service").start()
    local sb = assert(service.client:create())
    local session = assert(sb:session "names")
    objects = {
      daytona = daytona, client = service.client, sb = sb, session = session, command = assert(session:exec("true",
        { async = true })),
      job = assert(sb:popen "true"), pty = assert(sb:pty { lazy = true }), server = sb:lsp("python", "p"),
    }
  end)
  teardown(function() service:stop() end)

  -- What "sb.a.b:c" stands for, or nil.
  local function find(path)
    local value = objects
    for name in path:gmatch "[%w_]+" do
      value = value and value[name]
    end
    return value
  end

  -- Calls each function with everything of ours, and its line.
  local function each_cell(fn)
    for line in io.lines "doc/coming-from-other-sdks.md" do
      local ours = line:match "^%- %*%*.-%*%*: (.*)$"
      if ours then fn(ours, line) end
    end
  end

  it("leaves nothing out", function()
    local cells = 0
    each_cell(function(ours, line)
      cells = cells + 1
      assert.is_truthy(ours:find "%a", line)
      assert.is_falsy(ours:find "\226\128", line) -- no footnote
    end)
    assert.is_true(cells > 125, cells .. " cells")
  end)

  it("says what is there", function()
    local calls, known = 0, {}
    each_cell(function(ours, line)
      for quoted in ours:gmatch "`([^`]+)`" do
        local object, call, after = quoted:match "^(%a+)([:.][%w_.:]+)(.?)"
        if object and objects[object] and (call:find(":", 1, true) or after:find "[({]") then
          calls, known[object] = calls + 1, true
          assert.equal("function", type(find(object .. call)), line)
        end
      end
    end)
    for name in pairs(objects) do assert.is_true(known[name], name) end
    assert.is_true(calls > 180, calls .. " calls")
  end)
end)
