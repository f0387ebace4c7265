-- What doc/embedding.md promises to frame loops is measured for every call that can return much:
-- no public method is forgotten by bench/lua/budget_calls.lua.

local list = dofile "bench/lua/budget_calls.lua"

-- The methods and functions that the reference has, by name.
local function documented()
  local file = assert(io.open "doc/reference.md")
  local text = file:read "*a"
  file:close()
  local names, count = {}, 0
  for name in text:gmatch "\n### (%S+)\n\n```text\n" do names[name], count = true, count + 1 end
  assert.is_true(count > 300)
  return names
end

describe("the benchmark of frames", function()
  it("has a row for each public method, or says why there is none", function()
    local names, told = documented(), {}
    for _, row in ipairs(list.of {}) do
      for _, name in ipairs(row[3]) do told[name] = row[1] end
    end
    for _, group in ipairs(list.without) do
      for name in group[2]:gmatch "%S+" do
        assert.is_nil(told[name], name .. " is there twice")
        told[name] = group[1]
      end
    end
    local missing, unknown = {}, {}
    for name in pairs(names) do if not told[name] then missing[#missing + 1] = name end end
    for name in pairs(told) do if not names[name] then unknown[#unknown + 1] = name end end
    assert.same({ {}, {} }, { missing, unknown })
  end)

  it("names each row once", function()
    local seen = {}
    for _, row in ipairs(list.of {}) do
      assert.is_nil(seen[row[1]], row[1])
      assert.matches("^[%l_]+$", row[1])
      assert.is_function(row[4])
      seen[row[1]] = true
    end
  end)
end)
