-- What makes one tree like another, as a plan: no file is touched here. And the pace of
-- work on many files.

local daytona = require "daytona"
local pace = require "daytona.toolbox.fs.pace"
local plan = require "daytona.toolbox.fs.plan"

-- "type mode size seconds" as an entry; a target or a fraction of the second behind it.
local function entry(text)
  local kind, mode, size, seconds, more = text:match "^(%a+) (%d+) (%d+) (%d+) ?(.*)$"
  return {
    type = kind, mode = tonumber(mode, 8), size = tonumber(size), seconds = tonumber(seconds),
    nanoseconds = tonumber(more) or 0, target = kind == "link" and more or nil,
  }
end

local function tree(entries)
  local made = {}
  for path, text in pairs(entries) do made[path] = entry(text) end
  return made
end

local function planned(from, to, opts)
  opts = opts or {}
  opts.pace = pace.new "plan"
  return assert(plan.make(tree(from), tree(to), opts))
end

describe("a plan", function()
  it("is empty for trees that are alike", function()
    local one = { d = "directory 755 4096 1", ["d/f"] = "file 644 3 9", l = "link 777 1 1 d/f" }
    local made = planned(one, one, { delete = true })
    assert.is_true(plan.is_empty(made))
    assert.equal(2, made.unchanged)
  end)

  it("sends what is new or differs in size, time, target, folders first", function()
    local made = planned(
      { d = "directory 755 0 1", ["d/new"] = "file 644 1 1", size = "file 644 2 1", time = "file 644 1 2",
        same = "file 644 1 1", link = "link 777 1 1 a" },
      { size = "file 644 1 1", time = "file 644 1 1", same = "file 644 1 1", link = "link 777 1 1 b" })
    assert.same({ "d", "d/new", "link", "size", "time" }, made.send)
    assert.equal(1, made.unchanged)
    assert.same({}, made.files)
  end)

  it("compares fractions of a second only where both sides have them", function()
    local function sends(a, b) return #planned({ f = "file 644 1 1 " .. a }, { f = "file 644 1 1 " .. b }).send end
    assert.same({ 0, 0, 0, 1 }, { sends("5", "5"), sends("5", "0"), sends("0", "5"), sends("5", "6") })
  end)

  it("asks for contents where it is told to, of files of one size", function()
    local asked = {}
    local made = planned({ a = "file 644 1 1", b = "file 644 1 1", c = "file 644 2 1" },
      { a = "file 644 1 2", b = "file 644 1 1", c = "file 644 1 1" },
      { same = function(path) asked[#asked + 1] = path return path == "a" end })
    assert.same({ "a", "b" }, asked)
    assert.same({ "b", "c" }, made.send)
  end)

  it("changes modes of what stays, but of links", function()
    local made = planned({ f = "file 755 1 1", d = "directory 700 0 1", l = "link 777 1 1 x" },
      { f = "file 644 1 1", d = "directory 755 0 1", l = "link 755 1 1 x" })
    assert.same({ [493] = { "f" }, [448] = { "d" } }, made.modes)
    assert.same({}, made.send)
  end)

  it("deletes only when told to: files, then folders, the deepest first", function()
    local to = { d = "directory 755 0 1", ["d/e"] = "directory 755 0 1", ["d/e/f"] = "file 644 1 1",
                 k = "file 644 1 1" }
    assert.is_true(plan.is_empty(planned({}, to)))
    local made = planned({ k = "file 644 1 1" }, to, { delete = true })
    assert.same({ "d/e/f" }, made.files)
    assert.same({ "d/e", "d" }, made.folders)
  end)

  it("names what is of another type, and what cannot be copied", function()
    local made = planned({ a = "directory 755 0 1", b = "file 644 1 1", c = "other 644 0 1", l = "link 777 1 1 x" },
      { a = "file 644 1 1", b = "directory 755 0 1", l = "file 644 1 1" }, { delete = true })
    assert.same({ "a", "b" }, made.replaced)
    assert.same({ "c" }, made.skipped)
    assert.same({ "a", "b", "l" }, made.send)
  end)

  it("makes a folder the owner's, whatever it was, and leaves others their part", function()
    for mode, opened in pairs { [365] = 493, [0] = 448, [511] = 511, [63] = 511 } do
      assert.equal(opened, plan.opened_mode(mode))
    end
  end)

  it("opens folders in which something changes, those above first, and knows their modes", function()
    local from = { a = "directory 555 0 1", ["a/b"] = "directory 500 0 1", ["a/b/f"] = "file 644 2 1",
                   quiet = "directory 555 0 1", ["quiet/f"] = "file 644 1 1" }
    local to = { a = "directory 555 0 1", ["a/b"] = "directory 555 0 1", ["a/b/f"] = "file 644 1 1",
                 ["a/x"] = "file 644 1 1", quiet = "directory 555 0 1", ["quiet/f"] = "file 600 1 1",
                 gone = "directory 500 0 1", ["gone/f"] = "file 644 1 1" }
    assert.same({ { path = "a/b", mode = 320 } }, planned(from, to).opened)
    assert.same({ { path = "a", mode = 365 }, { path = "a/b", mode = 320 }, { path = "gone", mode = 320 } },
      planned(from, to, { delete = true }).opened)
  end)
end)

describe("work on many files", function()
  it("sorts as table.sort does, however many there are", function()
    for _, n in ipairs { 0, 1, 127, 128, 129, 256, 1000, 4097 } do
      local list = {}
      for i = 1, n do list[i] = ("%d"):format((i * 7919) % 1009) end
      local sorted = assert(pace.new("x"):sorted(list))
      table.sort(list)
      assert.same(list, sorted)
    end
  end)

  it("ends when its time is over", function()
    local clock = pace.new("sync", 0.001)
    local before = daytona.sleep and clock:left()
    assert.is_true(before <= 0.001)
    assert(daytona.sleep(0.01))
    local fine, err = clock:breathe()
    assert.is_nil(fine)
    assert.equal("timeout sync", err.kind .. " " .. err.operation)
    assert.is_nil(pace.new("sync", 0):left())
    assert.is_nil(pace.new("sync"):left())
  end)

  it("ends when it is cancelled, and lets others go on", function()
    local rounds, others, err = 0, 0, nil
    local task = daytona.spawn(function()
      local clock = pace.new "x"
      repeat
        rounds = rounds + 1
        local fine
        fine, err = clock:breathe()
      until not fine
    end)
    daytona.spawn(function()
      for _ = 1, 3 do
        daytona.sleep(0.01)
        others = others + 1
      end
      task:cancel()
    end)
    task:wait()
    assert.equal("canceled", err.kind)
    assert.equal(3, others)
    assert.is_true(rounds > 3)
  end)
end)
