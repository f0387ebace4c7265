-- `:help daytona` says what the annotations say.

describe("doc/daytona.txt", function()
  it("is what scripts/vimdoc makes of the annotations", function()
    local out = io.popen("lua5.4 scripts/vimdoc --check 2>&1 && echo fine", "r")
    local text = out:read("*a")
    out:close()
    assert.equal("fine\n", text)
  end)

  it("has every tag once", function()
    local seen = {}
    for line in io.lines "doc/daytona.txt" do
      for tag in line:gmatch "%*([%w_.:()-]+)%*" do
        assert.is_nil(seen[tag], tag)
        seen[tag] = true
      end
    end
    assert.is_true(seen["daytona.spawn()"])
    assert.is_true(seen["daytona.Sandbox:exec()"])
  end)
end)
