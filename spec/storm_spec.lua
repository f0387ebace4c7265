-- A small storm: what `make storm` does for minutes.

describe("a storm", function()
  it("loses no sandbox, doubles none, and leaves none after one reap", function()
    local report = require("spec.support.storm").run {
      tasks = 12, workers = 3, seed = os.time() % 100000, seconds = 60,
    }
    assert.is_true(report.made > 0)
    for _, name in ipairs { "doubled", "lost", "wrong", "left", "unfinished" } do
      assert.equal(0, report[name], name)
    end
  end)
end)
