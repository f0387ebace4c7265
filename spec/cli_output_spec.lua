-- What commands print, at a terminal and elsewhere.

local native = require "daytona.base.native"

local NAME = "daytona.cli.output"

-- What fn(output) prints in such an environment; COLUMNS is how wide the terminal is.
local function printed(env, fn)
  local text, loaded = {}, package.loaded[NAME]
  local getenv, stdout, terminal = os.getenv, io.stdout, native.terminal -- luacheck: ignore
  os.getenv = function(name) return env[name] end -- luacheck: ignore
  native.terminal = function() return env.size and { size = function() return env.size end } end
  io.stdout = { -- luacheck: ignore
    write = function(_, part)
      if env.full then return nil, "No space left on device" end
      text[#text + 1] = part
      return true
    end,
    flush = function()
      if env.full_at_last then return nil, "No space left on device" end
      return true
    end,
  }
  package.loaded[NAME] = nil
  local fine, err = pcall(function() fn(require(NAME)) end)
  os.getenv, io.stdout, native.terminal = getenv, stdout, terminal -- luacheck: ignore
  package.loaded[NAME] = loaded
  if not fine then error(err, 0) end
  return table.concat(text)
end

local function rows(env, headings, list)
  return printed(env, function(output) output.table(headings, list) end)
end

local TERMINAL = { DAYTONA_LUA_TERMINALS = "01", NO_COLOR = "1" }

local function terminal(more)
  local env = {}
  for name, value in pairs(TERMINAL) do env[name] = value end
  for name, value in pairs(more) do env[name] = value end
  return env
end

describe("a table", function()
  it("elsewhere than at a terminal is a line a row, with tabs and without headings", function()
    for _, env in ipairs { {}, { DAYTONA_LUA_TERMINALS = "02" } } do
      assert.equal("a\t1\t\nb c\t\ttrue\n", rows(env, { "NAME", "N", "X" }, { { "a", 1 }, { "b\nc", nil, true } }))
    end
  end)

  it("at a terminal has headings and columns", function()
    assert.equal("NAME  STATE    N\na     started  1\nlong  x        \195\169\n",
      (rows(TERMINAL, { "NAME", "STATE", "N" }, { { "a", "started", 1 }, { "long", "x", "\195\169" } })))
    assert.equal("N  M\n\195\169  x\n", rows(TERMINAL, { "N", "M" }, { { "\195\169", "x" } }))
    assert.equal("NAME  N\n", rows(TERMINAL, { "NAME", "N" }, {}))
  end)

  local HEADINGS = { "ABCDEF", "BBBBBB", "CCCCCC", "DDDDDD", "EEEEEE" }

  it("is as wide as the terminal: the last columns are left out, then the widest cut", function()
    local row = { { "a", "b", "c", "d", "e" } }
    local function first(columns) return rows(terminal { COLUMNS = columns }, HEADINGS, row):match "^[^\n]*" end
    assert.equal("ABCDEF  BBBBBB  CCCCCC  DDDDDD  EEEEEE", first "38")
    assert.equal("ABCDEF  BBBBBB  CCCCCC  DDDDDD", first "37")
    assert.equal("ABCDEF  BBBBBB  CCCCCC  DDDDDD", first "30")
    assert.equal("ABCDEF  BBBBBB  CCCCCC", first "29")
    assert.equal("ABCDEF  BBBBBB  CCCCCC", first "22")
    assert.equal("ABCD…  BBBBBB  CCCCCC", first "21")
    assert.equal("ABCD…  BBBB…  CCCCCC", first "20")
    assert.equal("ABC…  BBB…  CCC…", first "16")
    assert.equal("ABC…  BBB…  CCC…", first "5") -- never less
    local wide = rows(terminal { COLUMNS = "20" }, { "A", "B" }, { { ("é"):rep(30), "x" } })
    assert.equal("A                  B\n" .. ("é"):rep(16) .. "…  x\n", wide)
  end)

  it("asks the terminal how wide that is, else the environment, else takes 80 columns", function()
    local function width(env)
      local line = rows(terminal(env), { "A" }, { { ("x"):rep(200) } }):match "\n([^\n]*)"
      return #line - #"…" + 1
    end
    assert.equal(50, width { size = 50, COLUMNS = "60" })
    assert.equal(60, width { COLUMNS = "60" })
    assert.equal(1 + 4, width { COLUMNS = "1" } + 1) -- the narrowest
    for _, columns in ipairs { "0", "", "wide", "-1" } do assert.equal(80, width { COLUMNS = columns }) end
    assert.equal(80, width {})
  end)

  it("has states in colours, unless NO_COLOR is set, and is aligned all the same", function()
    local list = { { "started", 1 }, { "error", 2 }, { "stopped", 3 }, { "creating", 4 } }
    local green, red, yellow = "\27[32mstarted\27[0m", "\27[31merror\27[0m", "\27[33mstopped\27[0m"
    assert.equal("S         N\n" .. green .. "   1\n" .. red .. "     2\n" .. yellow .. "   3\ncreating  4\n",
      rows({ DAYTONA_LUA_TERMINALS = "1", NO_COLOR = "" }, { "S", "N" }, list))
    assert.equal("S         N\nstarted   1\nerror     2\nstopped   3\ncreating  4\n",
      rows(TERMINAL, { "S", "N" }, list))
    for state, hue in pairs { active = 32, ready = 32, build_failed = 31, paused = 33, inactive = 33 } do
      assert.equal(("S\n\27[%dm%s\27[0m\n"):format(hue, state),
        (rows({ DAYTONA_LUA_TERMINALS = "1" }, { "S" }, { { state } }):gsub("^S +", "S")))
    end
  end)
end)

describe("names and values", function()
  it("are in columns at a terminal, with a tab elsewhere, without those that there are not", function()
    local function fields(output) output.fields { { "id", "x" }, { "none", nil }, { "public", false } } end
    assert.equal("id             x\npublic         false\n", printed(TERMINAL, fields))
    assert.equal("id\tx\npublic\tfalse\n", printed({}, fields))
  end)
end)

describe("JSON", function()
  it("is what the service said, with lists as lists where they are empty, too", function()
    local record = { raw = { id = "x", volumes = {}, labels = {}, env = { secrets = {} }, tags = { "a", { b = {} } },
      entrypoint = { "a" }, secrets = {}, regionIds = {}, gpuType = {}, skipped = {} } }
    assert.equal('{"entrypoint":["a"],"env":{"secrets":[]},"gpuType":[],"id":"x","labels":{},"regionIds":[],'
      .. '"secrets":[],"skipped":[],"tags":["a",{"b":{}}],"volumes":[]}\n',
      printed({}, function(output) output.json(record) end))
    assert.equal('{"entrypoint":[]}\n', printed({}, function(output) output.json { entrypoint = {} } end))
    assert.equal('{"volumes":"none"}\n', printed({}, function(output) output.json { volumes = "none" } end))
  end)

  it("of a list is an item a line", function()
    assert.equal('[{"id":"a"},\n {"id":"b"}]\n', printed({}, function(output)
      output.json_list { { raw = { id = "a" } }, { id = "b" } }
    end))
    assert.equal("[]\n", printed({}, function(output) output.json_list {} end))
  end)
end)

describe("a full disk", function()
  it("is a failure, when something is printed or at the end", function()
    for _, env in ipairs { { full = true }, { full_at_last = true } } do
      local fine, err = pcall(printed, env, function(output) output.write "x" end)
      assert.is_false(fine)
      assert.same({ "io", "standard output: No space left on device" }, { err.kind, err.message })
    end
    local fine, err = pcall(printed, { full_at_last = true }, function(output) output.finish() end)
    assert.same({ false, "io" }, { fine, err.kind })
  end)
end)

describe("an age", function()
  it("is told in the largest unit of which there are two", function()
    printed({}, function(output)
      local function age(seconds) return output.age(os.date("!%Y-%m-%dT%H:%M:%S.000Z", os.time() - seconds)) end
      assert.matches("^11[5-9]s$", age(115))
      assert.matches("^11[89]m$", age(118 * 60 + 30))
      assert.equal("2h", age(7200))
      assert.equal("47h", age(86400 * 2 - 60))
      assert.equal("2d", age(86400 * 2))
      assert.equal("2m", age(120))
      assert.equal("0s", age(-100))
      assert.is_nil(output.age "yesterday")
      assert.is_nil(output.age(nil))
    end)
  end)
end)
