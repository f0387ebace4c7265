-- Sorting piece by piece.

local sorted = require "daytona.base.sorted"

describe("a long list that is sorted piece by piece", function()
  local rests
  local function rest() rests = rests + 1 end
  before_each(function() rests = 0 end)

  local function less(a, b) return a < b end

  it("is what table.sort makes of it, whatever its length", function()
    math.randomseed(3)
    for _, n in ipairs { 0, 1, 2, 63, 64, 65, 127, 128, 129, 192, 193, 1000, 4097 } do
      local list, wanted = {}, {}
      for i = 1, n do
        list[i] = math.random(n)
        wanted[i] = list[i]
      end
      table.sort(wanted)
      assert.equal(list, sorted(list, less, rest))
      assert.same(wanted, list)
    end
  end)

  it("lets others get their turn, of more than a few", function()
    local list = {}
    for i = 1, 2000 do list[i] = 2001 - i end
    sorted(list, less, rest)
    assert.same({ 1, 2000 }, { list[1], list[2000] })
    assert.is_true(rests > 50)
    rests = 0
    sorted({ 3, 1, 2 }, less, rest)
    assert.equal(0, rests)
  end)

  it("raises what the comparison raises", function()
    local list = {}
    for i = 1, 100 do list[i] = i end
    list[80] = "x"
    assert.is_false(pcall(sorted, list, less, rest))
  end)
end)
