-- doc/tool-reference.md, which people read before they give a model tools.

describe("the reference of the tools", function()
  it("says of every argument and hint what the definitions say", function()
    local out = io.popen("lua5.4 scripts/tooldoc --check 2>&1 && echo fine", "r")
    local text = out:read("*a")
    out:close()
    assert.equal("fine\n", text)
  end)
end)
