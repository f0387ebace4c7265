-- Options of daytona-mcp and daytona-acp, as they are typed.

local argv = require "daytona.agent.argv"

local KNOWN = { tools = "value", yes = "flag", ["max-bytes"] = "value" }

describe("the options of the kit's programs", function()
  it("have their values behind = or as the next word", function()
    assert.same({ tools = "a,b", yes = true, ["max-bytes"] = "5" },
      argv.parse({ "--tools", "a,b", "--yes", "--max-bytes=5" }, KNOWN))
    assert.same({ tools = "a=b" }, argv.parse({ "--tools=x", "--tools=a=b" }, KNOWN))
    assert.same({ tools = "--yes" }, argv.parse({ "--tools", "--yes" }, KNOWN))
    assert.same({}, argv.parse({}, KNOWN))
  end)

  it("that are wrong are named", function()
    for word, why in pairs {
      ["--frob"] = "unknown option: --frob", ["--frob=1"] = "unknown option: --frob=1", ["-y"] = "unknown option: -y",
      x = "unknown option: x", ["--yes=1"] = "unknown option: --yes=1", ["--yes="] = "unknown option: --yes=",
      ["--tools"] = "--tools needs a value", ["--tools="] = "--tools needs a value",
    } do
      assert.same({ nil, why }, { argv.parse({ word }, KNOWN) })
    end
    assert.same({ nil, "--tools needs a value" }, { argv.parse({ "--yes", "--tools", "" }, KNOWN) })
  end)

  it("are help as soon as that is asked for", function()
    assert.same({ help = true }, argv.parse({ "--yes", "--help", "--frob" }, KNOWN))
    assert.same({ nil, "unknown option: --frob" }, { argv.parse({ "--frob", "--help" }, KNOWN) })
  end)

  it("may be lists of words", function()
    assert.same({ "a", "b", "c" }, argv.words "a,b, c,")
    assert.is_nil(argv.words(nil))
  end)
end)
