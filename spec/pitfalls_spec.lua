-- doc/pitfalls.md names specs that are there, for all of its rows.

describe("the table of pitfalls", function()
  local rows = {}
  for line in io.lines "doc/pitfalls.md" do
    local number, last = line:match "^| (%d+) |.*| ([^|]+) |$"
    if number then rows[#rows + 1] = { number = tonumber(number), shown_by = last } end
  end

  it("has fifty-nine, in order", function()
    for i, row in ipairs(rows) do assert.equal(i, row.number) end
    assert.equal(59, #rows)
  end)

  it("names a spec for each, or says why it cannot happen", function()
    for _, row in ipairs(rows) do
      local named = 0
      for name, title in row.shown_by:gmatch '([%w_]+) "([^"]+)"' do
        local file = assert(io.open("spec/" .. name .. "_spec.lua"), row.number .. ": no spec/" .. name .. "_spec.lua")
        assert.truthy(file:read("*a"):find(title, 1, true), row.number .. ": no " .. title .. " in " .. name)
        file:close()
        named = named + 1
      end
      assert.is_true(named > 0 or row.shown_by:find "^by design: " ~= nil, tostring(row.number))
    end
  end)
end)
