-- doc/coming-from-other-sdks.md names calls that exist, and leaves no cell of ours
-- empty.

local daytona = require "daytona"

describe("doc/coming-from-other-sdks.md", function()
  local client = assert(daytona.new { api_key = "key", api_url = "http://127.0.0.1:1" })
  local sandbox = client:attach "names"

  -- What `sb.a.b:c` stands for, or nil.
  local function find(path)
    local value = sandbox
    for name in path:gmatch "[%w_]+" do
      value = value and value[name]
    end
    return value
  end

  it("says what is there", function()
    local calls = 0
    for line in io.lines "doc/coming-from-other-sdks.md" do
      local ours = line:match "^|.*|%s*(.-)%s*|$"
      if ours and not ours:find "^[-%s]*$" and ours ~= "Lua" then
        assert.is_truthy(#ours > 1, line)
        for call in ours:gmatch "`sb([:.][%w_.:]+)" do
          calls = calls + 1
          assert.equal("function", type(find(call)), call)
        end
      elseif ours then
        assert.is_truthy(ours == "Lua" or ours:find "^%-%-%-$", line)
      end
    end
    assert.is_true(calls > 90, calls .. " calls")
  end)
end)
