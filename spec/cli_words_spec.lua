-- How what is typed after a command's name is taken apart.

local words = require "daytona.cli.words"

local unpack = unpack or table.unpack -- luacheck: ignore

local COMMAND = {
  name = "make", args = "BOX -- COMMAND...", json = true,
  options = {
    { "name", "NAME", "", "n" }, { "keep-it", false, "" }, { "cpu", "N", "" }, { "wait", "SECONDS", "" },
    { "idle", "MINUTES", "" }, { "env", "NAME=VALUE", "" }, { "volume", "ID:PATH", "" }, { "gpu", "TYPE...", "" },
  },
}

local function parse(command, ...)
  local typed, why = words.parse(command, { "first", ... }, 2)
  if not typed then return why end
  return typed
end

describe("options", function()
  it("are taken as what they are of", function()
    local typed = parse(COMMAND, "box", "--name=a=b", "--keep-it", "--cpu", "2", "--wait", "1.5", "--idle", "3.0",
      "--env", "A=1=2", "--env=B=", "--volume", "v:/data:x", "--gpu", "H100", "--gpu=A100", "--json", "--", "ls", "-l")
    assert.same({
      name = "a=b", keep_it = true, cpu = 2, wait = 1.5, idle = 3, env = { A = "1=2", B = "" },
      volume = { v = "/data:x" }, gpu = { "H100", "A100" }, json = true,
    }, typed.options)
    assert.equal("2 1.5 3", ("%s %s %s"):format(typed.options.cpu, typed.options.wait, typed.options.idle))
    assert.same({ { "box" }, { "ls", "-l" } }, { typed.args, typed.rest })
  end)

  it("may be short, and stand anywhere before --", function()
    assert.same({ name = "x" }, parse(COMMAND, "-n", "x", "box", "--", "ls").options)
    local typed = parse({ name = "l", args = "[DIR]" }, "--", "--json")
    assert.same({ {}, { "--json" } }, { typed.options, typed.args })
  end)

  it("that are wrong are named", function()
    for why, typed in pairs {
      ["there is no option --frob"] = { "--frob=1" }, ["there is no option -x"] = { "-x" },
      ["--keep-it takes no value"] = { "--keep-it=1" }, ["--name needs NAME"] = { "box", "--name" },
      ["--cpu takes a number, not 'two'"] = { "--cpu", "two" }, ["--env takes NAME=VALUE, not 'A'"] = { "--env", "A" },
      ["--volume takes ID:PATH, not 'a=b'"] = { "--volume", "a=b" }, ["-n needs NAME"] = { "-n" },
    } do
      assert.equal(why, parse(COMMAND, unpack(typed)))
    end
    assert.equal("there is no option --json", parse({ name = "l", args = "" }, "--json"))
  end)
end)

describe("arguments", function()
  it("are so many as the command takes", function()
    for args, cases in pairs {
      [""] = { { true }, { false, "a" } }, ["BOX"] = { { false }, { true, "a" }, { false, "a", "b" } },
      ["[BOX]"] = { { true }, { true, "a" }, { false, "a", "b" } },
      ["BOX..."] = { { false }, { true, "a" }, { true, "a", "b", "c" } },
      ["BOX -- COMMAND..."] = { { false, "a" }, { false, "a", "--" }, { true, "a", "--", "x" }, { true, "a", "x" } },
      ["BOX [--] [COMMAND...]"] = { { true, "a" }, { true, "a", "--", "x", "y" }, { false } },
    } do
      local command = { name = "c", args = args }
      for _, case in ipairs(cases) do
        local fits = case[1]
        local typed = parse(command, unpack(case, 2))
        if fits then assert.equal("table", type(typed), args .. ": " .. tostring(typed))
        else assert.equal(args == "" and "takes no argument" or "takes " .. args, typed) end
      end
    end
  end)

  it("that are a program's words begin where the command's own end, and have its options", function()
    local command = { name = "c", args = "BOX -- COMMAND...", json = true }
    local typed = parse(command, "box", "ls", "--json", "--", "-x")
    assert.same({ {}, { "box" }, { "ls", "--json", "--", "-x" } }, { typed.options, typed.args, typed.rest })
    typed = parse(command, "--json", "box", "--", "ls", "--json")
    assert.same({ { json = true }, { "box" }, { "ls", "--json" } }, { typed.options, typed.args, typed.rest })
  end)

  it("are not counted where help is asked for", function()
    assert.is_true(parse(COMMAND, "--help").options.help)
    assert.is_true(parse({ name = "l", args = "" }, "-h", "a").options.help)
  end)
end)

describe("an option", function()
  it("is told to completion by its kind", function()
    local kinds = {}
    for i, option in ipairs(words.options(COMMAND)) do kinds[i] = option[1] .. " " .. words.kind(option) end
    assert.same({ "name text", "keep-it flag", "cpu number", "wait number", "idle number", "env map", "volume map",
      "gpu list", "json flag", "help flag" }, kinds)
  end)
end)
