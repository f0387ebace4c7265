-- `:help daytona` and doc/reference.md say what the annotations say.

local documents = require "spec.support.documents"

describe("doc/daytona.txt and doc/reference.md", function()
  it("are what scripts/vimdoc makes of the annotations", function()
    local out = io.popen("lua5.4 scripts/vimdoc --check 2>&1 && echo fine", "r")
    local text = out:read("*a")
    out:close()
    assert.equal("fine\n", text)
  end)
end)

describe("doc/daytona.txt", function()
  local text = documents.read "doc/daytona.txt"
  local tags = {}
  for tag in text:gmatch "%*([%w_.:()-]+)%*%f[\n ]" do tags[tag] = (tags[tag] or 0) + 1 end

  it("has every tag once", function()
    for tag, n in pairs(tags) do assert.equal(1, n, tag) end
  end)

  it("opens at its beginning, which leads to all of it", function()
    assert.truthy(text:match "^[^\n]*":find("*daytona*", 1, true))
    for _, tag in ipairs { "daytona-contents", "daytona-setup", "daytona-fs-sync" } do
      assert.truthy(text:find("|" .. tag .. "|", 1, true) or tag == "daytona-contents", tag)
      assert.equal(1, tags[tag], tag)
    end
  end)

  it("has a tag for every call, class and list of kinds", function()
    for _, tag in ipairs {
      "daytona.spawn()", "daytona.map()", "daytona.using()", "daytona.Sandbox:exec()", "daytona.Client:create()",
      "daytona.FileSystem:list()", "daytona.FileSystem", "daytona.Git", "daytona.Interpreter", "daytona.ErrorKind",
      "daytona.CreateOptions", "daytona.RunResult", "daytona.Session:exec()",
    } do assert.equal(1, tags[tag], tag) end
  end)

  it("has every function of the module, and a sandbox's methods, also those that a prompt does not show", function()
    for name, value in pairs(require "daytona") do
      if type(value) == "function" then assert.equal(1, tags["daytona." .. name .. "()"], name) end
    end
    for _, name in ipairs { "exec", "fork", "home_dir", "job", "pause", "wait_for_port" } do
      assert.equal(1, tags["daytona.Sandbox:" .. name .. "()"], name)
    end
  end)

  it("links to tags that are there, or Neovim's", function()
    local FOREIGN = { ["vim.schedule()"] = true, ["api-fast"] = true }
    for target in text:gmatch "|([#-)!+-{}~]+)|" do
      assert.truthy(tags[target] or FOREIGN[target], target)
    end
  end)

  it("has no line over its width", function()
    for line in text:gmatch "[^\n]+" do assert.truthy(#line <= 78, line) end
  end)
end)
